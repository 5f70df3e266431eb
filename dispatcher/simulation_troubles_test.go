package dispatcher_test

import (
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim"
)

// leave stops a worker in order, beside whatever else happens.
func (s *simulation) leave(w *simWorker) {
	s.say("a worker stops", "worker", w.name)
	s.leaving = append(s.leaving, w)
	s.ending.Go(func() {
		err := w.stop()
		if err != nil && !w.everTroubled() {
			s.book.note("worker %s did not stop in order: %v", w.name, err)
		}
		w.conn.Close()
	})
}

// crash ends a worker like kill -9, a moment after it heard NATS last.
func (s *simulation) crash(w *simWorker) {
	s.say("a worker hears its last", "worker", w.name)
	w.inTrouble()
	w.wire.Deafen()
	s.after(s.upTo(300*time.Millisecond), func() {
		s.die(w)
	})
}

func (s *simulation) die(w *simWorker) {
	s.say("a worker crashes", "worker", w.name)
	w.kill()
	w.wire.Break()
	w.conn.Close()
	s.ending.Go(func() { _ = w.stop() })
}

func (s *simulation) crashOne() {
	if len(s.workers) > 0 {
		s.crash(s.take())
	}
}

// cutOff cuts a worker off from NATS for a while. What was said arrives later.
func (s *simulation) cutOff() {
	if len(s.workers) == 0 {
		return
	}
	w := s.workers[s.rand.IntN(len(s.workers))]
	s.say("a worker is cut off", "worker", w.name)
	s.holdBack(w, w.wire.Mend)
	w.wire.Cut()
}

// stopForAWhile is SIGSTOP and SIGCONT.
func (s *simulation) stopForAWhile() {
	if len(s.workers) == 0 {
		return
	}
	w := s.workers[s.rand.IntN(len(s.workers))]
	s.say("a worker is frozen", "worker", w.name)
	s.holdBack(w, func() { w.wire.Mend(); w.letGo() })
	w.wire.Cut()
	w.hold()
}

// holdBack is trouble that ends by itself, and lets what was written arrive late.
func (s *simulation) holdBack(w *simWorker, undo func()) {
	t, over := w.inTrouble(), s.heldBack()
	s.after(s.upTo(8*time.Second), func() {
		s.say("and is not any more", "worker", w.name)
		undo()
		w.over(t)
		over()
	})
}

// crashServer ends the server like kill -9, a moment after anybody heard it
// last, sometimes together with workers, and brings it back.
func (s *simulation) crashServer() {
	if !s.up {
		return
	}
	s.say("the server is heard no more")
	s.up, s.down = false, true
	back := s.begin(&s.nowhere)
	s.wire.Deafen()
	s.leaving = slices.DeleteFunc(s.leaving, func(w *simWorker) bool { return w.conn.IsClosed() })
	for _, w := range append(slices.Clone(s.workers), s.leaving...) {
		s.outage[w] = w.inTrouble()
		w.wire.Deafen()
	}
	s.after(s.upTo(300*time.Millisecond), func() {
		s.say("the server crashes")
		for len(s.workers) > 0 && s.rand.IntN(4) == 0 {
			w := s.take()
			delete(s.outage, w) // its trouble does not end
			s.die(w)
		}
		synctest.Wait()
		s.server.Crash(func() {
			s.wire.Break()
			for w := range s.outage {
				w.wire.Break()
			}
		})
		s.after(s.upTo(8*time.Second), func() {
			s.server.Restart()
			s.down = false
			back()
			s.say("the server is back")
		})
	})
}

// fail has the service fail in some way, until it is told otherwise.
func (s *simulation) fail() {
	f := xblsim.Faults{SlowBy: s.upTo(15 * time.Second), RetryAfter: s.upTo(10 * time.Second)}
	rate := s.rand.Float64() / 2
	switch s.rand.IntN(8) {
	case 0:
		f.Error500 = rate
	case 1:
		f.Error503 = rate
	case 2:
		f.Error503RetryAfter = rate
	case 3:
		f.ResetBefore = rate
	case 4:
		f.ResetAfter = rate
	case 5:
		f.Slow = rate
	case 6:
		f.Outage = true
	}
	f.RefusedXUIDs, f.ExpiredTokens = s.faults.RefusedXUIDs, s.faults.ExpiredTokens
	s.setFaults(f)
}

func (s *simulation) setFaults(f xblsim.Faults) {
	s.faults = f
	s.sim.SetFaults(f)
	f.RefusedXUIDs = nil
	s.say("faults", "are", fmt.Sprintf("%+v", f))
}

// refuseToken has a sender's token refused for a while.
func (s *simulation) refuseToken() {
	token := tokenOf(s.anySender())
	if slices.Contains(s.faults.ExpiredTokens, token) {
		return
	}
	f := s.faults
	f.ExpiredTokens = append(slices.Clone(f.ExpiredTokens), token)
	s.setFaults(f)
	s.after(s.upTo(20*time.Second), func() {
		f := s.faults
		f.ExpiredTokens = slices.DeleteFunc(slices.Clone(f.ExpiredTokens), func(t string) bool { return t == token })
		s.setFaults(f)
	})
}

// loseToken has a sender without a token for a while.
func (s *simulation) loseToken() {
	sender := s.anySender()
	if s.missing[sender] {
		return
	}
	s.say("a token is lost", "sender", sender)
	s.missing[sender] = true
	s.setToken(sender, "")
	s.after(s.upTo(20*time.Second), func() {
		s.say("a token is found", "sender", sender)
		s.missing[sender] = false
		s.setToken(sender, tokenOf(sender))
	})
}

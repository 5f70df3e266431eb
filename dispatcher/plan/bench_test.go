package plan

import (
	"fmt"
	"testing"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// What the core takes of a CPU, for docs/scaling.md. The service around it is
// next to nothing here: each call is answered 100 ms later, in order.

// lineUp is a planner whose keys each have two jobs waiting at any time.
type lineUp struct {
	planner *Planner
	now     time.Time
	calls   []*Call // in flight, the oldest first
	answer  *xbl.Error
}

func newLineUp(b *testing.B, keys int) *lineUp {
	b.Helper()
	world := newWorld(b, Config{Limits: Limits{Windows: published, Reserve: 0.1}}, &service{})
	l := &lineUp{planner: world.planner, now: world.now}
	for i := range keys {
		for range 2 {
			j := bulk(fmt.Sprint("cup-", i), "finals", xbl.MaxInvitedUsers)
			j.Partition = i % 16
			l.planner.Add(l.now, j)
		}
	}
	return l
}

// call goes on until one more call is answered.
func (l *lineUp) call() {
	for {
		step := l.planner.Next(l.now)
		for _, state := range l.planner.Changed(l.now) {
			l.planner.Recorded(l.now, state) // else a key with a quota makes no second call
		}
		l.calls = append(l.calls, step.Calls...)
		for _, j := range step.Ended {
			l.planner.Add(l.now, &Job{Key: j.Key, Partition: j.Partition, Lane: j.Lane, Campaign: j.Campaign, Recipients: j.Recipients})
		}
		if len(step.Ended) > 0 {
			continue
		}
		var answered time.Time
		if len(l.calls) > 0 {
			answered = l.calls[0].Started.Add(100 * time.Millisecond)
		}
		if answered.IsZero() || !step.Wake.IsZero() && step.Wake.Before(answered) {
			l.now = step.Wake
			continue
		}
		l.now = later(l.now, answered)
		l.planner.Answer(l.now, l.calls[0], l.answer)
		l.calls = l.calls[1:]
		return
	}
}

// BenchmarkACall is all that the core does for a full call: a job is added, the
// call composed, answered and told of, the job ended.
func BenchmarkACall(b *testing.B) {
	for _, keys := range []int{1, 1000, 100_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			l := newLineUp(b, keys)
			b.ReportAllocs()
			for b.Loop() {
				l.call()
			}
		})
	}
}

// BenchmarkAProbe is a call that asks whether a title's outage is over, and is
// told that it is not, while so many of the title's keys wait.
func BenchmarkAProbe(b *testing.B) {
	for _, keys := range []int{1000, 10_000, 100_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			l := newLineUp(b, keys)
			l.answer = errUnavailable
			for range 300 { // those in flight fail
				l.call()
			}
			for b.Loop() {
				l.call()
			}
		})
	}
}

// BenchmarkForget is what giving one of 16 partitions away takes the core.
func BenchmarkForget(b *testing.B) {
	for _, keys := range []int{1000, 100_000} {
		b.Run(fmt.Sprint("keys=", keys), func(b *testing.B) {
			l := newLineUp(b, keys)
			for b.Loop() {
				l.planner.Forget(l.now, 16) // all keys are looked at, none is let go
			}
		})
	}
}

// BenchmarkTheQuotasDecision is whether a key may call now, and if not, when: in a
// window with room, and in a full one.
func BenchmarkTheQuotasDecision(b *testing.B) {
	now := time.Unix(1_700_000_000, 0)
	for _, answered := range []int{40, 50} {
		b.Run(fmt.Sprint("calls=", answered), func(b *testing.B) {
			l := callLog{windows: published}
			for i := range answered {
				l.start()
				l.answered(now.Add(time.Duration(i)*5*time.Second), true)
			}
			at := now.Add(280 * time.Second)
			b.ReportAllocs()
			for b.Loop() {
				l.free(at, 0.1)
			}
		})
	}
}

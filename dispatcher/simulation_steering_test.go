package dispatcher_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// steering is what people want of campaigns while all else happens: some are
// paused for a while, limited to a rate, or cancelled. It has dice of its own,
// so that the schedules of a seed stay what they were before it was thought of.
type steering struct {
	rand      *rand.Rand
	organizer *queue.Organizer
	paused    map[queue.Address]time.Time // since when
	limited   map[queue.Address]bool
	cancelled map[queue.Address]time.Time
	over      bool
}

// steeredSoon is how soon after a change no worker makes a call against it.
const steeredSoon = time.Second

func (s *simulation) beginSteering(seed uint64) {
	s.steering = steering{
		rand: rand.New(rand.NewPCG(seed, 1)), paused: make(map[queue.Address]time.Time),
		limited: make(map[queue.Address]bool), cancelled: make(map[queue.Address]time.Time),
	}
	var err error
	s.organizer, err = queue.NewOrganizer(s.t.Context(), s.conn)
	require.NoError(s.t, err)
	if s.steering.rand.IntN(2) == 0 {
		s.steerLater()
	}
}

func (s *simulation) steerLater() {
	s.after(time.Duration(s.steering.rand.Int64N(int64(5*time.Second))), func() {
		if s.steering.over {
			return
		}
		s.steer()
		s.steerLater()
	})
}

// steer changes what is wanted of some campaign, if it is there.
func (s *simulation) steer() {
	if !s.up {
		return
	}
	r := s.steering.rand
	a := campaign(senders[r.IntN(len(senders))], []string{"spring", "autumn"}[r.IntN(2)])
	long := time.Duration(r.Int64N(int64(15 * time.Second)))
	switch n := r.IntN(10); {
	case n < 5 && s.steering.paused[a].IsZero():
		if s.change(a, "paused", func() (queue.CampaignTerms, error) { return s.organizer.Pause(s.t.Context(), a) }) {
			s.notePause(a, time.Now())
			s.after(long, func() { s.resume(a) })
		}
	case n < 9 && !s.steering.limited[a]:
		rate := 1 + 20*r.Float64()
		if s.change(a, fmt.Sprintf("limited to %.1f/s", rate), func() (queue.CampaignTerms, error) {
			return s.organizer.SetRate(s.t.Context(), a, rate)
		}) {
			s.steering.limited[a] = true
			s.after(long, func() { s.lift(a) })
		}
	case n == 9 && r.IntN(4) == 0:
		if s.change(a, "cancelled", func() (queue.CampaignTerms, error) { return s.organizer.Cancel(s.t.Context(), a) }) {
			s.book.mu.Lock()
			defer s.book.mu.Unlock()
			s.steering.cancelled[a] = time.Now()
		}
	}
}

// change reports whether there was something to change.
func (s *simulation) change(a queue.Address, what string, change func() (queue.CampaignTerms, error)) bool {
	s.t.Helper()
	_, err := change()
	if errors.Is(err, queue.ErrNoCampaign) || errors.Is(err, queue.ErrCancelled) {
		return false
	}
	require.NoError(s.t, err)
	s.say("a campaign is "+what, "sender", a.Sender, "campaign", a.Campaign)
	return true
}

func (s *simulation) notePause(a queue.Address, since time.Time) {
	s.book.mu.Lock()
	defer s.book.mu.Unlock()
	s.steering.paused[a] = since
}

func (s *simulation) resume(a queue.Address) {
	if s.steering.paused[a].IsZero() || !s.up {
		return
	}
	s.notePause(a, time.Time{}) // before: it may go on before we hear of it
	s.change(a, "resumed", func() (queue.CampaignTerms, error) { return s.organizer.Resume(s.t.Context(), a) })
}

func (s *simulation) lift(a queue.Address) {
	if !s.steering.limited[a] || !s.up {
		return
	}
	delete(s.steering.limited, a)
	s.change(a, "not limited any more", func() (queue.CampaignTerms, error) { return s.organizer.SetRate(s.t.Context(), a, 0) })
}

// endSteering lets all campaigns go on that were not cancelled.
func (s *simulation) endSteering() {
	for a := range s.steering.paused {
		s.resume(a)
	}
	for a := range s.steering.limited {
		s.lift(a)
	}
}

// mayCampaign says what speaks against a call for a job of a campaign. The book
// is locked. A worker that is cut off can't know, until it hears of it.
func (s *simulation) mayCampaign(c *madeCall, j *simJob) error {
	for what, since := range map[string]time.Time{"paused": s.steering.paused[j.to], "cancelled": s.steering.cancelled[j.to]} {
		told := !since.IsZero() && c.began.Sub(since) > steeredSoon
		if told && !c.line.troubled(c.began.Add(-steeredSoon), c.began) {
			return fmt.Errorf("job %s: its campaign is %s since %s", j.ID, what, clock(since))
		}
	}
	return nil
}

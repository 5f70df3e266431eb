package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// load is producers at work: players who wait and campaigns, for each sender, in jobs of 1 to 40 recipients.
type load struct {
	end func()
}

// every is the pause of each of the producers between two jobs.
const every = harness.Slower * 30 * time.Millisecond

// begin starts producers. They go on until stop, whatever happens to NATS.
func (s *scene) begin() *load { return s.beginFor(senders, every) }

// beginFor starts producers for these senders, with a pause of their own.
func (s *scene) beginFor(senders []string, every time.Duration) *load {
	ctx, cancel := context.WithCancel(s.t.Context())
	var producers sync.WaitGroup
	for i, sender := range senders {
		for j, campaign := range []string{"", "spring"} {
			producers.Go(func() {
				s.produce(ctx, rand.New(rand.NewPCG(uint64(i), uint64(j))), every, queue.Address{TitleID: title, Sender: sender, Campaign: campaign})
			})
		}
	}
	l := &load{end: sync.OnceFunc(func() { cancel(); producers.Wait() })}
	s.t.Cleanup(l.end)
	return l
}

// stop ends the producers.
func (l *load) stop() { l.end() }

func (s *scene) produce(ctx context.Context, r *rand.Rand, every time.Duration, to queue.Address) {
	sizes := []int{1, 1, 2, 5, 16, 16, 40}
	pause := time.NewTicker(every)
	defer pause.Stop()
	for {
		select {
		case <-pause.C:
		case <-ctx.Done():
			return
		}
		_ = s.tryBriefly(to, s.job(sizes[r.IntN(len(sizes))]))
	}
}

func isFull(err error) bool { return errors.Is(err, queue.ErrFull) }

package faults

import (
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// flow notes when jobs end, as their results tell.
type flow struct {
	s   *scene
	sub *nats.Subscription

	mu      sync.Mutex
	last    time.Time
	silence time.Duration // the longest
}

// observe begins to watch, with the next result.
func (s *scene) observe() *flow {
	s.t.Helper()
	f := &flow{s: s}
	var err error
	f.sub, err = s.conn.Subscribe("invites.results.>", func(*nats.Msg) { f.ended(time.Now()) })
	require.NoError(s.t, err)
	require.NoError(s.t, s.conn.Flush())
	return f
}

func (f *flow) ended(at time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.last.IsZero() {
		f.silence = max(f.silence, at.Sub(f.last))
	}
	f.last = at
}

// any says whether a job has ended since.
func (f *flow) any() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.last.IsZero()
}

// end says how long the longest silence was, up to now.
func (f *flow) end() time.Duration {
	f.s.t.Helper()
	require.NoError(f.s.t, f.sub.Unsubscribe())
	f.ended(time.Now())
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.silence
}

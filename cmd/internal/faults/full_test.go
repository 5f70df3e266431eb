package faults

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// refusedIn publishes until a job is refused, and says how long the refusal took.
func (s *scene) refusedIn(to queue.Address) time.Duration {
	s.t.Helper()
	var took time.Duration
	harness.Until(s.t, patience, "a job is refused", func() bool {
		begun := time.Now()
		err := s.tryBriefly(to, s.job(1))
		took = time.Since(begun)
		return errors.Is(err, queue.ErrFull)
	})
	return took
}

// takes waits until a job is accepted again.
func (s *scene) takes(to queue.Address) {
	s.t.Helper()
	harness.Until(s.t, patience, "a job is accepted", func() bool { return s.tryBriefly(to, s.job(1)) == nil })
}

func TestAFullQueueRefusesAtOnceAndKeepsWhatItHas(t *testing.T) {
	for range *rounds {
		s := stage(t)
		w := s.join()
		lanes := []queue.Address{{TitleID: title, Sender: "ada"}, {TitleID: title, Sender: "ada", Campaign: "spring"}}
		s.limit("INVITES", func(c streamConfig, _ int) { c.set("max_msgs", 100) })
		s.limit("INVITE_CAMPAIGNS", func(c streamConfig, _ int) { c.set("max_bytes", 64<<10) })
		load := s.begin()
		s.progress()
		s.sim.SetFaults(`{"outage":true}`)
		var slowest time.Duration
		for _, to := range lanes {
			slowest = max(slowest, s.refusedIn(to))
		}
		kept := s.stored("INVITES") + s.stored("INVITE_CAMPAIGNS")
		s.sim.SetFaults(`{}`)
		for _, to := range lanes {
			s.takes(to)
		}
		load.stop()
		assert.Less(t, slowest, bound(time.Second), "a refusal comes at once")
		a := s.audit(0)
		assert.Empty(t, a.letters)
		a.requireMetrics(w)
		a.report("INVITES (MaxMsgs) and INVITE_CAMPAIGNS (MaxBytes) full", 0)
		t.Logf("%d jobs were refused, the slowest refusal took %s; %d jobs were kept meanwhile", s.refused(), slowest, kept)
	}
}

// refused is how many jobs the streams have refused.
func (s *scene) refused() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.jobs {
		if p.refused {
			n++
		}
	}
	return n
}

func TestAStreamThatTakesNothingIsWaitedFor(t *testing.T) {
	for _, stream := range []string{"INVITE_RESULTS", "INVITE_DEAD", "INVITE_PROGRESS", "INVITE_KEYS"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			s := stage(t)
			s.options.Quota = "1000/1s" // so that calls are written down
			s.options.Tokens = harness.WriteTokens(t, append([]string{"new"}, senders...)...)
			w := s.join()
			load := s.begin()
			s.progress()
			s.nonsense("ada")
			harness.Until(t, patience, "each stream has got something", func() bool { return s.stored("INVITE_DEAD") > 0 })
			mend := s.limit(stream, full)
			s.nonsense("ada")
			late := s.beginFor([]string{"new"}, every)
			w.Await(`can't be stored now`)
			hold(time.Duration(*rounds) * 3 * time.Second)
			ends, mended := s.perSender(), time.Now()
			mend()
			harness.Until(t, patience, "jobs of each sender end", func() bool { return ends.senders() == len(senders)+1 })
			after := time.Since(mended)
			assert.LessOrEqual(t, after, bound(storedAgain), "what waits is stored soon")
			late.stop()
			load.stop()
			a := s.audit(0)
			assert.Equal(t, 2, a.invalid)
			assert.Len(t, a.letters, 2)
			a.requireMetrics(w)
			a.report(stream+" full", 0)
			t.Logf("jobs of each sender ended within %s", after)
		})
	}
}

// storedAgain is the longest pause between two tries to store something: 5 s, and half of that at random.
const storedAgain = 8 * time.Second

// nonsense publishes what is no job.
func (s *scene) nonsense(sender string) {
	s.t.Helper()
	_, err := s.conn.Request(fmt.Sprintf("invites.jobs.%d.%s", title, sender), []byte("{"), patience)
	require.NoError(s.t, err)
}

func TestAServerWithoutRoomRefusesAtOnceAndGoesOnWhenThereIsSome(t *testing.T) {
	config := filepath.Join(t.TempDir(), "nats.conf")
	require.NoError(t, os.WriteFile(config, []byte("jetstream { store_dir: $NATS_STORE_DIR, max_file_store: 24MB }"), 0o600))
	s := stageOn(t, programs.NATSWith(t, config))
	w := s.join()
	load := s.begin()
	other := map[string]any{"name": "OTHER", "subjects": []string{"other"}}
	for range *rounds {
		s.progress()
		require.NoError(t, s.api("STREAM.CREATE.OTHER", other, &struct{}{}))
		for s.store(&nats.Msg{Subject: "other", Data: make([]byte, 256<<10)}) == nil {
			continue // somebody else fills the disk
		}
		slowest := s.refusedIn(queue.Address{TitleID: title, Sender: "ada"})
		assert.Less(t, slowest, bound(time.Second), "a refusal comes at once")
		w.Await(`this worker's lease can't be renewed`)
		hold(5 * time.Second)
		assert.True(t, w.Running())
		ends, mended := s.observe(), time.Now()
		require.NoError(t, s.api("STREAM.DELETE.OTHER", nil, &struct{}{}))
		harness.Until(t, patience, "jobs end again", ends.any)
		t.Logf("the first job ended %s after there was room; the slowest refusal took %s", time.Since(mended), slowest)
		ends.end()
		s.takes(queue.Address{TitleID: title, Sender: "ada"})
	}
	load.stop()
	a := s.audit(inFlight * *rounds)
	assert.Empty(t, a.letters)
	a.requireMetrics(w)
	a.report("JetStream's max_file_store reached", inFlight)
}

package dispatcher_test

import (
	"bytes"
	"log/slog"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// TestTheLogNamesNoPlayerAndNoToken: whatever goes wrong, at the level that is logged by default.
func TestTheLogNamesNoPlayerAndNoToken(t *testing.T) {
	refused := someone(1)[0]
	var log syncBuffer
	inFakeTime(t, xblsim.Options{
		Quota: []xblsim.Window{{Max: 10, Per: 10 * time.Second}},
		Faults: xblsim.Faults{
			RefusedXUIDs: []uint64{uint64(refused)}, Error500: 0.1, ResetAfter: 0.1, ResetBefore: 0.1,
		},
	}, func(t *testing.T, s *system) {
		s.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s.work()
		var players []queue.XUID
		for range 30 {
			players = append(players, s.publish(to("ada"), 3).InvitedUsers...)
		}
		s.publish(to("ada"), 4, func(j *queue.Job) { j.InvitedUsers[1] = refused })
		s.publish(to("ada"), 1, func(j *queue.Job) { j.ExpiresAt = time.Now().Add(-time.Second) })
		_, err := s.conn.Request("invites.jobs.730.ada", []byte(`{"invitedUsers":["02533274790123456"]}`), time.Second)
		require.NoError(t, err)
		s.publish(to("nobody"), 1) // has no token
		pass(10 * time.Minute)

		text := log.String()
		assert.Contains(t, text, "dead letter", "something was logged")
		assert.Contains(t, text, "reason=rejected")
		assert.Contains(t, text, "result=unauthorized")
		for _, p := range append(players, refused, 2533274790123456) {
			require.NotContains(t, text, strconv.FormatUint(uint64(p), 10))
		}
		assert.NotContains(t, text, "token-of-ada")
	})
}

func TestInServerModeTheLogSaysWhyThereIsNoTokenAndNotWhose(t *testing.T) {
	var log syncBuffer
	inFakeTime(t, xblsim.Options{}, func(t *testing.T, s *system) {
		s.cfg.Logger = slog.New(slog.NewTextHandler(&log, nil))
		s.cfg.ServerAudience = true
		s.client.Audience = xbl.AudienceServer
		s.client.Tokens = xbl.File(t.TempDir())
		s.work()
		s.publish(to("2533274790395904"), 1)
		pass(5 * time.Second)
		assert.Contains(t, log.String(), "write the sender's Authorization value to")
		assert.NotContains(t, log.String(), "2533274790395904", "who is a player there")
	})
}

func TestTheLogLeadsFromHowAJobEndedToItsProducersTrace(t *testing.T) {
	const traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	refused := someone(1)[0]
	var log syncBuffer
	inFakeTime(t, xblsim.Options{Faults: xblsim.Faults{RefusedXUIDs: []uint64{uint64(refused)}}}, func(t *testing.T, s *system) {
		s.cfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		s.work()
		_, err := s.publisher.Publish(t.Context(), to("ada"), queue.Job{ID: "traced", InvitedUsers: []queue.XUID{refused}},
			queue.WithTraceparent(traceparent))
		require.NoError(t, err)
		pass(10 * time.Second)
		s.publish(to("ada"), 1)
		pass(10 * time.Second)

		assert.Regexp(t, `msg="dead letter" job=traced .* traceparent=`+traceparent+"\n", log.String())
		assert.Regexp(t, `msg="job ended" job=traced .* traceparent=`+traceparent+"\n", log.String())
		assert.Regexp(t, `msg="job ended" job=INVITES:2 .* maybe_duplicate=false\n`, log.String(), "a job without one has none")
	})
}

// syncBuffer is a bytes.Buffer that goroutines may share.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

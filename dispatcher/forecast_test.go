package dispatcher_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// TestTheTimeLeftOfARunningCampaignIsWhatItThenTakes: what tools read of streams, while a worker is at it, is enough to know.
func TestTheTimeLeftOfARunningCampaignIsWhatItThenTakes(t *testing.T) {
	quota := []xblsim.Window{{Max: 10, Per: 15 * time.Second}}
	inFakeTime(t, xblsim.Options{Quota: quota, Latency: 50 * time.Millisecond}, func(t *testing.T, s *system) {
		s.cfg.Plan.Limits = plan.Limits{Windows: []plan.Window{planWindow(quota[0])}, MaxInFlight: 4, Reserve: 0.2}
		_, err := s.conn.Request("invites.control.quota", []byte(`{"windows":[{"max":10,"perMs":15000}],"interactiveReserve":0.2}`), time.Second)
		require.NoError(t, err)
		o := s.organize()
		finals := campaign("cup", "finals")
		s.start(o, queue.CampaignOrder{Address: finals}, someone(16*180))
		s.start(o, queue.CampaignOrder{Address: campaign("cup", "league")}, someone(16*60))
		s.join()
		pass(70 * time.Second)
		s.publish(to("cup"), 1)
		pass(20 * time.Second)

		status, err := o.Status(t.Context(), finals)
		require.NoError(t, err)
		began := time.Now()
		forecast, err := o.TimeLeft(t.Context(), status)
		require.NoError(t, err)
		assert.InDelta(t, 0.2, forecast.Reserve, 0)
		assert.WithinDuration(t, began.Add(15*time.Minute-20*time.Second), forecast.ReservedUntil, time.Second)
		assert.Less(t, forecast.Alone, forecast.Least)

		pass(forecast.Least + forecast.Least/10)
		status, err = o.Status(t.Context(), finals)
		require.NoError(t, err)
		require.Equal(t, queue.CampaignEnded, status.State)
		took := status.LastEndedAt.Sub(began)
		t.Log(forecast.Least, took)
		assert.LessOrEqual(t, forecast.Least, took, "at least so long")
		assert.InEpsilon(t, took, forecast.Least, 0.02)
		assert.Zero(t, s.sim.Ledger().Throttled)
	})
}

package queue_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// quotaRecord is the workers' word, and how often it was written; it is empty where there is none.
func (f *fixture) quotaRecord() (data string, revision uint64) {
	f.Helper()
	s, err := f.js.Stream(f.Context(), queue.ControlStream)
	require.NoError(f, err)
	m, err := s.GetLastMsgForSubject(f.Context(), "invites.control.quota")
	if err != nil {
		require.ErrorIs(f, err, jetstream.ErrMsgNotFound)
		return "", 0
	}
	return string(m.Data), m.Sequence
}

func TestAWorkerSaysItsQuotaWhenItIsAnother(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		quota := queue.Quota{
			Limits:  queue.Limits{Windows: []queue.Window{{Max: 7, Per: 15 * time.Second}}, MaxInFlight: 4},
			Reserve: 0.1,
			Titles:  map[uint32]queue.Limits{730: {Windows: []queue.Window{{Max: 1000, Per: time.Second}}, MaxInFlight: 8}, 731: {}},
		}
		f.queue.AnnounceQuota(quota)
		time.Sleep(time.Second)
		data, _ := f.quotaRecord()
		assert.Empty(t, data, "not before it takes part")

		stop := f.work(queue.DeliverFunc(func(*queue.Delivery) {}))
		time.Sleep(time.Second)
		data, first := f.quotaRecord()
		assert.JSONEq(t, `{"windows":[{"max":7,"perMs":15000}],"maxInFlight":4,"interactiveReserve":0.1,"titles":{
			"730":{"windows":[{"max":1000,"perMs":1000}],"maxInFlight":8},"731":{"windows":[],"maxInFlight":0}}}`, data)
		f.queue.AnnounceQuota(quota)
		time.Sleep(time.Second)
		stop()
		stop = f.work(queue.DeliverFunc(func(*queue.Delivery) {}))
		time.Sleep(time.Second)
		_, again := f.quotaRecord()
		assert.Equal(t, first, again, "it is there")

		quota.Reserve = 0.2
		f.queue.AnnounceQuota(quota)
		time.Sleep(time.Second)
		data, again = f.quotaRecord()
		assert.Greater(t, again, first)
		assert.Contains(t, data, `"interactiveReserve":0.2`)

		require.NoError(t, f.js.DeleteStream(t.Context(), queue.ControlStream))
		time.Sleep(time.Minute)
		data, _ = f.quotaRecord()
		assert.True(t, json.Valid([]byte(data)), "it is said again in a stream that was deleted: %q", data)
		stop()
	})
}

func TestWindowsInWords(t *testing.T) {
	assert.Equal(t, "7/15s,50/300s,1/1.5s", queue.WindowsString([]queue.Window{
		{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 5 * time.Minute}, {Max: 1, Per: 1500 * time.Millisecond},
	}))
	assert.Empty(t, queue.WindowsString(nil))
}

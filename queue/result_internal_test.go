package queue

import (
	"math"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAResultIsWrittenAsItsFieldsSay(t *testing.T) {
	at := time.Date(2026, 11, 26, 9, 30, 0, 120_000_000, time.UTC)
	for _, r := range []Result{
		{},
		{ID: "INVITES:7", TitleID: math.MaxUint32, Sender: "lobby-1", Sent: 16, Attempts: 1, PublishedAt: at, EndedAt: at.Add(time.Nanosecond)},
		{ID: "quoted \" \\ \n \u2028 <é>", Campaign: "spring", Dead: 3, Reason: Rejected, PublishedAt: at, EndedAt: at, MaybeDuplicate: true},
		{Cancelled: 9, EndedAt: at.Truncate(time.Second)},
	} {
		want, err := json.Marshal(r)
		require.NoError(t, err)
		assert.Equal(t, string(want), string(r.encode()))
	}
}

// BenchmarkResultMessage is what is written of how a job ended.
func BenchmarkResultMessage(b *testing.B) {
	now := time.Now()
	d := &Delivery{
		Address: Address{TitleID: 1739947436, Sender: "lobby-1"}, Stream: JobsStream, Sequence: 4711, PublishedAt: now, id: "match-9182",
	}
	for _, c := range []struct {
		name string
		Ending
	}{
		{"sent", Ending{Sent: 16, Attempts: 1, EndedAt: now}},
		{"partly", Ending{Sent: 15, Attempts: 9, EndedAt: now, Dead: []Dead{{Reason: Rejected, Recipients: []XUID{1}}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resultMessage(d, c.Ending)
			}
		})
	}
}

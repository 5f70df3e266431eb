package queue

import (
	"testing"
	"time"
)

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

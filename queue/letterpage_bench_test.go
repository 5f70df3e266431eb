package queue_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// BenchmarkAPageOfAMillionDeadLetters is what the console asks for: fifty letters, the newest first. Of every ten thousand letters one
// has expired, so that a page of those is looked for all over the stream.
func BenchmarkAPageOfAMillionDeadLetters(b *testing.B) {
	const letters = 1_000_000
	nc := embeddedtest.Connect(b, embeddedtest.Start(b))
	q, err := queue.Open(b.Context(), nc, queue.Options{})
	require.NoError(b, err)
	defer q.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(4096))
	require.NoError(b, err)
	for i := range letters {
		reason := "rejected"
		if i%10_000 == 5_000 {
			reason = "expired"
		}
		m := &nats.Msg{Subject: fmt.Sprintf("invites.dead.%d.%s", 700+i%20, reason), Header: nats.Header{}, Data: []byte(`{"invitedUsers":["2533274790395904"]}`)}
		m.Header["Invite-Reason"], m.Header["Invite-Job-Id"] = []string{reason}, []string{fmt.Sprint("job-", i)}
		m.Header["Invite-Subject"] = []string{fmt.Sprintf("invites.campaigns.%d.cup.c-%d", 700+i%20, i%1000)}
		_, err := js.PublishMsgAsync(m)
		require.NoError(b, err)
	}
	<-js.PublishAsyncComplete()
	reader, err := queue.NewReader(nc)
	require.NoError(b, err)
	for name, c := range map[string]struct {
		filter queue.LetterFilter
		before uint64
	}{
		"newest":        {},
		"in the middle": {before: letters / 2},
		"a rare reason": {filter: queue.LetterFilter{Filter: queue.Filter{Reason: queue.Expired}}},
		"a campaign":    {filter: queue.LetterFilter{Filter: queue.Filter{Campaign: "c-7"}}},
		"a job":         {filter: queue.LetterFilter{JobID: "nobody's"}},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				page, err := reader.LetterPage(b.Context(), c.filter, c.before, 50, 2000)
				require.NoError(b, err)
				b.ReportMetric(float64(len(page.Letters)), "letters")
				b.ReportMetric(float64(page.Looked), "looked-at")
			}
		})
	}
}

package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

func TestTheRateOfACampaignIsThatOfItsLastMinutes(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*200))
		w := f.consume()
		send := func(calls int) {
			for range calls {
				time.Sleep(2 * time.Second)
				f.settle(w.next(), queue.Ending{Sent: 16})
			}
		}
		assert.Zero(t, f.status(campaign).Rate)
		send(5)
		assert.InDelta(t, 8, f.status(campaign).Rate, 2, "16 recipients in 2 s")
		send(60)
		assert.InDelta(t, 8, f.status(campaign).Rate, 0.5)
		time.Sleep(time.Minute)
		assert.InDelta(t, 65*16/190.0, f.status(campaign).Rate, 0.5, "a pause of a minute is a part of the average")
		time.Sleep(5 * time.Minute)
		assert.Zero(t, f.status(campaign).Rate, "nothing ended lately")
		send(10)
		s := f.status(campaign)
		assert.InDelta(t, 8, s.Rate, 2, "what was before a long pause is not a part of it")

		require.NotEmpty(t, s.History)
		assert.WithinDuration(t, s.FirstEndedAt, s.History[0].At, time.Second)
		assert.Zero(t, s.History[0].Sent, "it begins with nothing")
		last := s.History[len(s.History)-1]
		assert.WithinDuration(t, time.Now(), last.At, time.Second)
		assert.Equal(t, s.Sent, last.Sent, "it ends with now")
		for i, m := range s.History[1:] {
			assert.True(t, m.At.After(s.History[i].At) && m.Sent >= s.History[i].Sent)
		}
	})
}

func TestALargeJobHasARateBeforeItEnds(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
		users := make([]queue.XUID, 4000)
		for i := range users {
			users[i] = queue.XUID(i + 1)
		}
		f.publish(campaign, job("large", users...))
		w := f.consume()
		d := w.next()
		for n := range 60 {
			time.Sleep(2 * time.Second)
			f.save(d, sentOf(16*(n+1), 4000))
		}
		s := f.status(campaign)
		assert.Zero(t, s.Jobs)
		assert.Equal(t, 960, s.Sent)
		assert.InDelta(t, 8, s.Rate, 0.5)
		assert.Greater(t, len(s.History), 8)
	})
}

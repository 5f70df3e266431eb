package queue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// What a worker that was cut off had on its way can arrive before the ending of the next owner, who has sent the job again.
func TestAResultThatCameTooLateDoesNotHideThatAJobMayHaveBeenSentTwice(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a"))
		d := w.next()
		f.settle(d, queue.Ending{Sent: 1, Attempts: 1})
		require.False(t, f.results(queue.Filter{})[0].MaybeDuplicate)

		again := queue.Ending{Sent: 1, Attempts: 2, MaybeDuplicate: true}
		for range 2 { // the second time as after a crash
			f.settle(d, again)
			results := f.results(queue.Filter{})
			require.Len(t, results, 1, "there is one result of each job")
			require.True(t, results[0].MaybeDuplicate, "and it says that there may have been two calls")
			require.Equal(t, 2, results[0].Attempts)
		}
	})
}

// The next owner of a job that may have been sent dropped it, as its campaign was cancelled; then the call is answered.
func TestWhatWasSentAfterAllIsNotCancelled(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16))
		d := w.next()
		f.settle(d, queue.Ending{Cancelled: 16, MaybeDuplicate: true})
		time.Sleep(time.Minute)
		s := f.status(campaign)
		require.Equal(t, []int{1, 0, 16, 0, 1}, []int{s.Jobs, s.Sent, s.Cancelled, s.Left, s.MaybeDuplicate}, "it is in the tally")
		for range 2 { // the second time as after a crash
			f.settle(d, queue.Ending{Sent: 16, Attempts: 1, MaybeDuplicate: true})
			s = f.status(campaign)
			require.Equal(t, []int{1, 16, 0, 0, 1}, []int{s.Jobs, s.Sent, s.Cancelled, s.Left, s.MaybeDuplicate})
			f.settle(d, queue.Ending{Cancelled: 16, MaybeDuplicate: true}) // nor is it taken back
		}
	})
}

func TestAResultIsNoRepeatOfItself(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a"))
		d := w.next()
		for range 2 {
			f.settle(d, queue.Ending{Sent: 1, Attempts: 2, MaybeDuplicate: true})
			s, err := f.js.Stream(t.Context(), "INVITE_RESULTS")
			require.NoError(t, err)
			require.EqualValues(t, 1, s.CachedInfo().State.LastSeq, "nothing is stored in its place")
		}
	})
}

package queue_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func someProgress() queue.Progress {
	return queue.Progress{
		Ended: []bool{true, false, true, true}, Sent: 1, Attempts: 4, MaybeDuplicate: true,
		Dead: []queue.Dead{
			{Reason: queue.Rejected, Detail: "no", Status: 400, ErrorCode: "InvalidRequest", Recipients: []queue.XUID{13}},
			{Reason: queue.Forbidden, Status: 403, Recipients: []queue.XUID{14}},
		},
	}
}

func TestProgressComesWithTheNextDelivery(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a", 11, 12, 13, 14))
		d := w.next()
		require.Nil(t, d.Progress)
		f.save(d, queue.Progress{Ended: []bool{true}, Sent: 1})
		f.save(d, someProgress())
		require.Equal(t, 1, f.count("INVITE_PROGRESS"), "a job has one record")
		loaded, ok, err := f.queue.LoadProgress(t.Context(), d)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, someProgress(), loaded)

		require.NoError(t, d.Release(0))
		again := w.next()
		require.NotNil(t, again.Progress, "in the same worker")
		require.Equal(t, someProgress(), *again.Progress)
		require.NoError(t, again.Release(0))
		w.stop()

		second := connect(t, f.server)
		second.open(queue.Options{})
		d = second.consume().next()
		require.NotNil(t, d.Progress, "in another worker")
		require.Equal(t, someProgress(), *d.Progress)
		second.settle(d, queue.Ending{Sent: 2})
		require.Zero(t, f.count("INVITE_PROGRESS"), "the record ends with its job")
		_, ok, err = f.queue.LoadProgress(t.Context(), d)
		require.NoError(t, err)
		require.False(t, ok)
	})
}

func TestProgressThatAFormerOwnerSavesLateIsSeen(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		former := f.consume()
		time.Sleep(time.Second) // it has found all there is to own
		f.publish(alice, job("a", 11, 12, 13, 14))
		held := former.next()
		former.stop() // it goes on with what it holds
		second := connect(t, f.server)
		second.open(queue.Options{})
		w := second.consume()
		f.publish(alice, job("b"))
		require.NoError(t, w.next().Ack()) // the new owner has read all progress there was

		f.save(held, someProgress())
		require.NoError(t, held.Release(0))
		d := w.next()
		require.NotNil(t, d.Progress)
		require.Equal(t, someProgress(), *d.Progress)
	})
}

func TestProgressSurvivesARestartOfEverything(t *testing.T) {
	dir := t.TempDir()
	for run := range 2 {
		server, err := embedded.Start(embedded.Options{DataDir: dir, Logger: discard()})
		require.NoError(t, err)
		t.Run("", func(t *testing.T) {
			f := open(t, server, queue.Options{})
			if run == 0 {
				f.publish(alice, job("a", 11, 12, 13, 14))
				f.save(f.consume().next(), someProgress())
				return
			}
			d := f.consume().next()
			require.NotNil(t, d.Progress)
			require.Equal(t, someProgress(), *d.Progress)
		})
		server.Shutdown()
	}
}

func TestProgressOfAnotherMessageIsNotApplied(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a", 11, 12, 13, 14))
		f.save(w.next(), someProgress())
		w.stop()
		require.NoError(t, f.js.DeleteStream(t.Context(), "INVITES"))
		time.Sleep(time.Millisecond)
		again := connect(t, f.server)
		again.open(queue.Options{})
		w = again.consume()
		again.publish(alice, job("b", 11, 12, 13, 14))
		d := w.next()
		require.EqualValues(t, 1, d.Sequence, "the same name in a new stream")
		require.Nil(t, d.Progress)
		require.Zero(t, f.count("INVITE_PROGRESS"), "a record of no job is removed")
	})
}

// TestProgressThatCannotBeTrueIsDroppedAndSaysWhatMayBeSentTwice: metrics and dead letters are made of it, and one with a reason
// that there is not would end every worker that takes the job.
func TestProgressThatCannotBeTrueIsDroppedAndSaysWhatMayBeSentTwice(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a", 11, 12, 13, 14))
		d := w.next()
		require.NoError(t, d.Release(0))
		d = w.next()
		record := fmt.Sprintf(`{"published":%d,"recipients":4,"ended":"Aw==","sent":1,"dead":[{"reason":"tired","recipients":"AQ=="}]}`,
			d.PublishedAt.UnixNano())
		_, err := f.js.Publish(t.Context(), "invites.progress.INVITES.100.alice.-.1", []byte(record))
		require.NoError(t, err)
		require.NoError(t, d.Release(0))
		d = w.next()
		require.Nil(t, d.Progress)
		require.True(t, d.MaybeSent)
		require.Zero(t, f.count("INVITE_PROGRESS"))
	})
}

func TestSavesAreStoredInOrderThroughATroubledTime(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a", 11, 12, 13, 14))
		d := w.next()
		require.NoError(t, f.js.DeleteStream(t.Context(), "INVITE_PROGRESS"))
		done := make(chan error, 10)
		for n := range 10 {
			if n == 5 {
				time.Sleep(2 * time.Second)
				connect(t, f.server).open(queue.Options{}) // creates it again
			}
			f.queue.SaveProgress(t.Context(), d, queue.Progress{Attempts: n + 1}, func(err error) { done <- err })
		}
		for range 10 {
			require.NoError(t, <-done)
		}
		time.Sleep(time.Minute)
		p, ok, err := f.queue.LoadProgress(t.Context(), d)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, 10, p.Attempts, "an earlier save never replaces a later one")
	})
}

func TestASaveRightBeforeTheEndLeavesNoRecord(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		for range 50 {
			f.publish(alice, job("a", 11, 12))
			d := w.next()
			f.queue.SaveProgress(t.Context(), d, queue.Progress{Ended: []bool{true, false}, Sent: 1}, func(error) {})
			f.settle(d, queue.Ending{Sent: 2})
		}
		require.Zero(t, f.count("INVITE_PROGRESS"))
		f.eventually("INVITES", 0)
	})
}

func TestProgressThatFitsNoJobIsAnError(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("a", 11))
		d := w.next()
		for _, p := range []queue.Progress{
			{Ended: []bool{true, true}},
			{Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: []queue.XUID{12}}}},
		} {
			done := make(chan error, 1)
			f.queue.SaveProgress(t.Context(), d, p, func(err error) { done <- err })
			assert.Error(t, <-done)
		}
	})
}

func TestAnyProgressIsReadAsItWasSaved(t *testing.T) {
	embeddedtest.HoldClock(t)
	f := open(t, embeddedtest.Start(t), queue.Options{})
	w := f.consume()
	users := make([]queue.XUID, 37)
	for i := range users {
		users[i] = queue.XUID(1000 - i)
	}
	f.publish(alice, job("a", users...))
	d := w.next()
	rapid.Check(t, func(t *rapid.T) {
		want := queue.Progress{
			Ended:    rapid.SliceOfN(rapid.Bool(), len(users), len(users)).Draw(t, "ended"),
			Attempts: rapid.IntRange(0, 99).Draw(t, "attempts"),
		}
		for i, ended := range want.Ended {
			switch {
			case !ended:
			case rapid.Bool().Draw(t, "dead"):
				dead := queue.Dead{
					Reason: rapid.SampledFrom(queue.Reasons()).Draw(t, "reason"), Status: 400 + i, Recipients: users[i : i+1],
				}
				want.Dead = append(want.Dead, dead)
			default:
				want.Sent++
			}
		}
		f.save(d, want)
		got, ok, err := f.queue.LoadProgress(f.Context(), d)
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, want, got)
	})
}

func TestARecordOfAJobThatIsGoneIsSwept(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(alice, job("over", 11, 12, 13, 14))
		over := w.next()
		f.publish(alice, job("open", 11, 12, 13, 14))
		open := w.next()
		f.settle(over, queue.Ending{Sent: 4})
		f.raw("invites.progress.INVITES.100.alice.-."+fmt.Sprint(over.Sequence), "too late")
		f.save(open, someProgress())
		for range 25 * 6 {
			time.Sleep(10 * time.Second)
			require.NoError(t, open.Extend())
		}
		require.Equal(t, 1, f.count("INVITE_PROGRESS"), "that of a job that is still there stays")
	})
}

package queue_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// summing is a little longer than it takes a worker to begin to sum up results.
const summing = 15 * time.Second

// ended is what a status says of recipients.
type ended struct{ sent, dead, left, replayed int }

func endedOf(s queue.CampaignStatus) ended {
	return ended{s.Sent, s.DeadRecipients(), s.Left, s.Replayed}
}

// sentOf is the progress of a job of which the first so many recipients were sent.
func sentOf(sent, of int) queue.Progress {
	p := queue.Progress{Ended: make([]bool, of), Sent: sent, Attempts: 1}
	for i := range sent {
		p.Ended[i] = true
	}
	return p
}

// storeResult stores a job's result, and does not remove its record, nor acknowledge it: a crash came between.
func (f *fixture) storeResult(d *queue.Delivery, sent int) {
	f.Helper()
	data, err := json.Marshal(map[string]any{
		"id": d.ID(), "titleId": d.Address.TitleID, "sender": d.Address.Sender, "campaign": d.Address.Campaign, "sent": sent, "dead": 0,
		"reason": "", "attempts": 1, "publishedAt": d.PublishedAt, "endedAt": time.Now(), "maybeDuplicate": false,
	})
	require.NoError(f, err)
	id := fmt.Sprintf("result:%s:%d:%s", d.Stream, d.Sequence, base36(d.PublishedAt.UnixNano()))
	f.raw("invites.results.100.alice.spring", string(data), "Nats-Msg-Id", id, "Invite-Job", fmt.Sprintf("%s:%d", d.Stream, d.Sequence))
}

func TestWhatEndedOfAJobThatGoesOnIsCounted(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(campaign, job("a", 11, 12, 13, 14))
		d := w.next()
		f.save(d, queue.Progress{Attempts: 1, Ended: []bool{false, false, false, false}})
		s := f.status(campaign)
		assert.Equal(t, queue.CampaignWaiting, s.State)
		assert.Zero(t, s.Partly, "nothing of it has ended")
		f.save(d, someProgress())
		s = f.status(campaign)
		assert.Equal(t, queue.CampaignSending, s.State)
		assert.Equal(t, []int{1, 0, 1, 1}, []int{s.Waiting, s.Jobs, s.Partly, s.Sent})
		assert.Equal(t, map[queue.Reason]int{queue.Rejected: 1, queue.Forbidden: 1}, s.Dead)

		f.settle(d, queue.Ending{Sent: 2, Attempts: 5, Dead: someProgress().Dead})
		s = f.awaitState(campaign, queue.CampaignEnded)
		assert.Equal(t, []int{0, 1, 0, 2, 2}, []int{s.Waiting, s.Jobs, s.Partly, s.Sent, s.DeadRecipients()})
	})
}

func TestWhatEndedOfAnOrdersJobIsNotLeft(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 40))
		w := f.consume()
		f.save(w.next(), sentOf(5, 16))
		f.publish(campaign, job("by hand", 100, 101, 102))
		assert.Equal(t, ended{sent: 5, left: 35}, endedOf(f.status(campaign)))
		w.next()
		w.next()
		f.save(w.next(), sentOf(2, 3))
		assert.Equal(t, ended{sent: 7, left: 35}, endedOf(f.status(campaign)), "who was invited by hand is none of the order")
		other := campaign
		other.Campaign = "other"
		f.start(queue.CampaignOrder{Address: other}, players(1, 40))
		assert.Equal(t, ended{left: 40}, endedOf(f.status(other)), "each campaign has its own")
	})
}

func TestWhatEndedOfAReplayedJobHasEndedBefore(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16))
		w := f.consume()
		d := w.next()
		f.settle(d, queue.Ending{Sent: 12, Dead: []queue.Dead{{Reason: queue.Rejected, Recipients: d.Job.InvitedUsers[12:]}}})
		require.NoError(t, f.replayer().Replay(t.Context(), f.letters(queue.Filter{})[0]))
		f.save(w.next(), sentOf(3, 4))
		assert.Equal(t, ended{sent: 15, dead: 4, replayed: 3}, endedOf(f.status(campaign)))
	})
}

// TestNoRecipientIsCountedTwiceOrTakenBackWhateverHappensBetweenTwoReads has something happen before each of the reads that a
// status is made of, one after the other; each in a bubble.
func TestNoRecipientIsCountedTwiceOrTakenBackWhateverHappensBetweenTwoReads(t *testing.T) {
	before, after := ended{sent: 5, left: 11}, ended{sent: 16}
	for name, c := range map[string]struct {
		happens func(f *fixture, d *queue.Delivery)
		after   ended
	}{
		"the job ends": {func(f *fixture, d *queue.Delivery) { f.settle(d, queue.Ending{Sent: 16}) }, after},
		"the job ends and is summed up": {func(f *fixture, d *queue.Delivery) {
			f.settle(d, queue.Ending{Sent: 16})
			time.Sleep(summing)
		}, after},
		"the job ends, and its worker": {func(f *fixture, d *queue.Delivery) { f.storeResult(d, 16) }, after},
		"the job ends, and its worker, and it is summed up": {func(f *fixture, d *queue.Delivery) {
			f.storeResult(d, 16)
			time.Sleep(summing)
		}, after},
		"more of it ends": {func(f *fixture, d *queue.Delivery) { f.save(d, sentOf(9, 16)) }, ended{sent: 9, left: 7}},
		"it is given to the next worker": {func(f *fixture, d *queue.Delivery) {
			require.NoError(f, d.Release(0))
			time.Sleep(time.Second)
		}, before},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
				w := f.consume()
				for n := 1; ; n++ {
					a := campaign
					f.start(queue.CampaignOrder{Address: a}, players(1, 16))
					d := w.next()
					f.save(d, sentOf(5, 16))
					require.Equal(t, before, endedOf(f.status(a)))
					o := organize(t, f.nc, 3)
					reads := 0
					o.Interpose(func(string, string) {
						if reads++; reads == n {
							c.happens(f, d)
						}
					})
					s, err := o.Status(t.Context(), a)
					require.NoError(t, err)
					if reads < n {
						require.Greater(t, n, 8)
						return
					}
					seen := endedOf(s)
					require.True(t, seen == before || seen == c.after, "it happened before read %d: %+v", n, seen)
					require.Equal(t, c.after, endedOf(f.status(a)), "it happened before read %d", n)
					time.Sleep(summing)
					f.forgetResults()
					require.Equal(t, c.after, endedOf(f.status(a)), "it happened before read %d, and a day passed", n)
					f.forget(w, d)
				}
			})
		})
	}
}

// forget removes all there is of a campaign.
func (f *fixture) forget(w *worker, d *queue.Delivery) {
	f.Helper()
	require.NoError(f, d.Ack())
	for _, name := range []string{"INVITE_CAMPAIGNS", "INVITE_PROGRESS", "INVITE_RESULTS"} {
		s, err := f.js.Stream(f.Context(), name)
		require.NoError(f, err)
		require.NoError(f, s.Purge(f.Context()))
	}
	s, err := f.js.Stream(f.Context(), "INVITE_CONTROL")
	require.NoError(f, err)
	require.NoError(f, s.Purge(f.Context()))
	for len(w.deliveries) > 0 {
		require.NoError(f, (<-w.deliveries).Ack())
	}
}

// TestAJobWhoseWorkerDiedAfterItsResultIsCountedOnceForAsLongAsItWaits has the campaign stand still then: nobody takes the job up,
// its record stays, and the result is summed up and goes.
func TestAJobWhoseWorkerDiedAfterItsResultIsCountedOnceForAsLongAsItWaits(t *testing.T) {
	for name, c := range map[string]struct {
		saved bool // before the worker lists the records
		later bool // the result comes after that, right before the worker reads the results
	}{
		"before all":                       {saved: true},
		"when the records were listed":     {saved: true, later: true},
		"when there was no record to list": {later: true},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
				f.start(queue.CampaignOrder{Address: campaign}, players(1, 32))
				crashed := make(chan *queue.Delivery, 1)
				f.queue.Interpose(func(stream, read string) {
					if len(crashed) > 0 && (!c.later || stream == "INVITE_RESULTS" && read == "message") {
						d := <-crashed
						f.saveByHand(d, 5)
						f.storeResult(d, 16)
					}
				})
				w := f.consume()
				d := w.next()
				if c.saved {
					f.saveByHand(d, 5)
					require.Equal(t, ended{sent: 5, left: 27}, endedOf(f.status(campaign)))
				}
				f.settle(w.next(), queue.Ending{Sent: 16}) // so that there is something to sum up
				crashed <- d
				for range 3 {
					time.Sleep(summing)
					require.Empty(t, crashed)
					require.Equal(t, ended{sent: 32}, endedOf(f.status(campaign)))
					f.forgetResults()
				}
				require.Equal(t, 1, f.count("INVITE_PROGRESS"))
				require.Equal(t, 1, f.status(campaign).Waiting)
			})
		})
	}
}

// saveByHand stores a job's record as another worker does.
func (f *fixture) saveByHand(d *queue.Delivery, sent int) {
	f.Helper()
	bitmap := make([]byte, (len(d.Job.InvitedUsers)+7)/8)
	for i := range sent {
		bitmap[i/8] |= 1 << (i % 8)
	}
	data, err := json.Marshal(map[string]any{
		"published": d.PublishedAt.UnixNano(), "recipients": len(d.Job.InvitedUsers), "ended": bitmap, "sent": sent, "attempts": 1, "id": d.ID(),
	})
	require.NoError(f, err)
	f.raw(fmt.Sprintf("invites.progress.%s.100.alice.spring.%d", d.Stream, d.Sequence), string(data))
}

func TestARecordThatIsStoredWhenItsJobHasEndedIsNotCounted(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 32))
		w := f.consume()
		d := w.next()
		f.settle(d, queue.Ending{Sent: 16})
		time.Sleep(summing)
		f.saveByHand(d, 5) // of a worker that was cut off
		require.Equal(t, ended{sent: 16, left: 16}, endedOf(f.status(campaign)))
	})
}

func TestARecordOfAJobWhoseStreamWasMadeAnewIsNotCounted(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		f.publish(campaign, job("a", 11, 12, 13, 14))
		f.save(w.next(), someProgress())
		w.stop()
		require.NoError(t, f.js.DeleteStream(t.Context(), "INVITE_CAMPAIGNS"))
		time.Sleep(time.Millisecond)
		again := connect(t, f.server)
		again.open(queue.Options{})
		again.publish(campaign, job("b", 11, 12, 13, 14))
		s := again.status(campaign)
		require.Equal(t, []int{1, 0, 0}, []int{s.Waiting, s.Partly, s.Sent + s.DeadRecipients()})
	})
}

func TestRecordsThatCannotBeTrueAreNotCounted(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.publish(campaign, job("a", 11, 12, 13, 14))
		d := f.consume().next()
		for _, record := range []string{
			`no record`, `{}`, `{"recipients":4,"ended":"Aw==","sent":1}`, `{"recipients":4,"ended":"Aw==","sent":-2}`,
			`{"recipients":4,"ended":"AwAA","sent":2}`, `{"recipients":-4,"ended":"","sent":0}`, `{"recipients":4,"ended":"8w==","sent":6}`,
			`{"recipients":4,"ended":"Aw==","sent":1,"dead":[{"reason":"tired","recipients":"AQ=="}]}`,
			`{"recipients":4,"ended":"Aw==","sent":2,"dead":[{"reason":"rejected","recipients":"BA=="}]}`,
			`{"recipients":4,"ended":"Aw==","sent":2,"dead":[{"reason":"rejected","recipients":"AA=="}]}`,
		} {
			if record[0] == '{' {
				record = fmt.Sprintf(`{"published":%d,`, d.PublishedAt.UnixNano()) + record[1:]
			}
			f.raw("invites.progress.INVITE_CAMPAIGNS.100.alice.spring.1", record)
			s := f.status(campaign)
			assert.Zero(t, s.Partly+s.Sent+s.DeadRecipients(), "%s", record)
		}
		f.saveByHand(d, 3)
		assert.Equal(t, 3, f.status(campaign).Sent)
	})
}

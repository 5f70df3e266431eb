package queue_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// players are so many recipients, from a first one on.
func players(first, n int) *queue.Recipients {
	r := new(queue.Recipients)
	for x := range n {
		r.Add(queue.XUID(first + x))
	}
	return r
}

func organize(t *testing.T, nc *nats.Conn, batch int) *queue.Organizer {
	t.Helper()
	o, err := queue.NewOrganizer(t.Context(), nc)
	require.NoError(t, err)
	o.SetBatch(batch)
	return o
}

func (f *fixture) start(c queue.CampaignOrder, r *queue.Recipients) queue.Upload {
	f.Helper()
	u, err := organize(f.T, f.nc, 3).Start(f.Context(), c, r, nil)
	require.NoError(f, err)
	return u
}

func (f *fixture) status(a queue.Address) queue.CampaignStatus {
	f.Helper()
	s, err := organize(f.T, f.nc, 3).Status(f.Context(), a)
	require.NoError(f, err)
	return s
}

// waiting are the jobs in a campaign's queue, in their order.
func (f *fixture) waiting(a queue.Address) (jobs []queue.Job) {
	f.Helper()
	s, err := f.js.Stream(f.Context(), "INVITE_CAMPAIGNS")
	require.NoError(f, err)
	for after := uint64(0); ; {
		m, err := s.GetMsg(f.Context(), after+1, jetstream.WithGetMsgSubject(a.Subject()))
		if err != nil {
			require.ErrorIs(f, err, jetstream.ErrMsgNotFound)
			return jobs
		}
		j, err := queue.DecodeJob(m.Data)
		require.NoError(f, err)
		jobs = append(jobs, j)
		after = m.Sequence
	}
}

func TestACampaignIsStoredAsFullCallsInTheOrderOfItsRecipients(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		expires := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
		order := queue.CampaignOrder{Address: campaign, ConnectionString: "lobby=1", Platform: "Win32", ExpiresAt: expires}
		r := players(1000, 16*7+5)
		require.False(t, r.Add(1000), "a repeat")
		var told []queue.Upload
		u, err := organize(t, f.nc, 3).Start(t.Context(), order, r, func(u queue.Upload) { told = append(told, u) })
		require.NoError(t, err)
		assert.Equal(t, queue.Upload{Recipients: 117, Jobs: 8, Stored: 117}, u)
		stored := make([]int, len(told))
		for i, u := range told {
			stored[i] = u.Stored
		}
		assert.Equal(t, []int{0, 48, 96, 117}, stored, "progress is what is stored")

		jobs := f.waiting(campaign)
		require.Len(t, jobs, 8)
		next, ids := queue.XUID(1000), map[string]bool{}
		for _, j := range jobs {
			assert.Equal(t, "lobby=1", j.ConnectionString)
			assert.Equal(t, "Win32", j.Platform)
			assert.Equal(t, expires, j.ExpiresAt)
			ids[j.ID] = true
			for _, x := range j.InvitedUsers {
				assert.Equal(t, next, x)
				next++
			}
		}
		assert.Len(t, ids, 8, "each job has a name of its own")
		assert.Len(t, jobs[0].InvitedUsers, 16)
		assert.Len(t, jobs[7].InvitedUsers, 5)

		again := f.start(order, r)
		assert.Equal(t, queue.Upload{Recipients: 117, Jobs: 8, Stored: 117, Before: 117}, again, "there is nothing to do any more")
		assert.Len(t, f.waiting(campaign), 8)
	})
}

func TestADifferentCampaignUnderTheSameNameIsRefused(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		order := queue.CampaignOrder{Address: campaign, ConnectionString: "lobby=1"}
		f.start(order, players(1, 40))
		o := organize(t, f.nc, 3)
		refused := func(want error, order queue.CampaignOrder, r *queue.Recipients) {
			t.Helper()
			_, err := o.Start(t.Context(), order, r, nil)
			require.ErrorIs(t, err, want)
		}
		refused(queue.ErrOtherRecipients, order, players(1, 41))
		refused(queue.ErrOtherRecipients, order, players(2, 40))
		reversed := new(queue.Recipients)
		for x := 40; x > 0; x-- {
			reversed.Add(queue.XUID(x))
		}
		refused(queue.ErrOtherRecipients, order, reversed)
		other := order
		other.ConnectionString = "lobby=2"
		refused(queue.ErrOtherContent, other, players(1, 40))
		other = order
		other.ExpiresAt = time.Now().Add(time.Hour)
		refused(queue.ErrOtherContent, other, players(1, 40))
		assert.Len(t, f.waiting(campaign), 3, "nothing was stored of them")
	})
}

func TestWhatIsNoCampaignIsRefusedBeforeAnythingIsStored(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		zero := players(1, 1)
		zero.Add(0)
		for what, c := range map[string]struct {
			order      queue.CampaignOrder
			recipients *queue.Recipients
		}{
			"no campaign":      {queue.CampaignOrder{Address: alice}, players(1, 1)},
			"its name is none": {queue.CampaignOrder{Address: queue.Address{TitleID: 1, Sender: "a", Campaign: "-"}}, players(1, 1)},
			"nobody":           {queue.CampaignOrder{Address: campaign}, new(queue.Recipients)},
			"no XUID":          {queue.CampaignOrder{Address: campaign}, zero},
			"platform":         {queue.CampaignOrder{Address: campaign, Platform: "PS5"}, players(1, 1)},
		} {
			_, err := o.Start(t.Context(), c.order, c.recipients, nil)
			require.Error(t, err, what)
		}
		assert.Zero(t, f.count("INVITE_CONTROL"))
	})
}

// The server drops a message whose ID another of its stream has, whatever its subject.
func TestTwoCampaignsForTheSameRecipientsAreBothStored(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		other := campaign
		other.Campaign = "autumn"
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 40))
		f.start(queue.CampaignOrder{Address: other}, players(1, 40))
		assert.Len(t, f.waiting(campaign), 3)
		assert.Len(t, f.waiting(other), 3)
	})
}

// forgetMessageIDsAfter is ten minutes in our streams: many times that is long, even in fake time.
func (f *fixture) forgetMessageIDsAfter(d time.Duration) {
	f.Helper()
	s, err := f.js.Stream(f.Context(), "INVITE_CAMPAIGNS")
	require.NoError(f, err)
	config := s.CachedInfo().Config
	config.Duplicates = d
	_, err = f.js.UpdateStream(f.Context(), config)
	require.NoError(f, err)
}

func TestAnUploadThatIsInterruptedAnywhereIsFinishedAndStoresNothingTwice(t *testing.T) {
	for name, c := range map[string]struct {
		later   time.Duration
		workers bool // the jobs that are stored have ended before it goes on
	}{
		"at once":             {time.Second, false},
		"at once, worked off": {time.Second, true},
		"after the stream has forgotten its message IDs":             {2 * time.Minute, false},
		"after the stream has forgotten its message IDs, worked off": {2 * time.Minute, true},
	} {
		t.Run(name, func(t *testing.T) {
			inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
				f.forgetMessageIDsAfter(time.Minute)
				var w *worker
				if c.workers {
					w = f.consume()
				}
				interrupted := 0
				for n := 1; ; n++ {
					a := queue.Address{TitleID: 100, Sender: "alice", Campaign: fmt.Sprint("c", n)}
					order, r := queue.CampaignOrder{Address: a}, players(1, 16*7)
					nc, err := f.server.Conn(nats.InProcessServer(&frail{f.server, 3 + n}), nats.NoReconnect())
					require.NoError(t, err)
					first := uploadOver(t, nc, order, r)
					nc.Close()
					if first != nil {
						interrupted++
					}
					time.Sleep(time.Second)
					ended := f.end(w)
					time.Sleep(c.later)
					u := f.start(order, r)
					require.Equal(t, 112, u.Stored)
					time.Sleep(time.Second)
					ended = append(ended, f.end(w)...)
					if !c.workers {
						ended = f.waiting(a)
					}
					var got []queue.XUID
					for _, j := range ended {
						got = append(got, j.InvitedUsers...)
					}
					want := make([]queue.XUID, 0, 112)
					for x := range r.All() {
						want = append(want, x)
					}
					require.ElementsMatch(t, want, got, "interrupted at write %d, which said %v", n, first)
					if first == nil {
						break
					}
				}
				assert.Greater(t, interrupted, 10, "it has that many steps")
			})
		})
	}
}

// end ends all jobs that the worker has got, and returns them. It is for a bubble.
func (f *fixture) end(w *worker) (jobs []queue.Job) {
	f.Helper()
	for w != nil && len(w.deliveries) > 0 {
		d := w.next()
		f.settle(d, queue.Ending{Sent: len(d.Job.InvitedUsers), Attempts: 1})
		jobs = append(jobs, d.Job)
	}
	return jobs
}

func uploadOver(t *testing.T, nc *nats.Conn, c queue.CampaignOrder, r *queue.Recipients) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	o, err := queue.NewOrganizer(ctx, nc)
	if err != nil {
		return err
	}
	o.SetBatch(3)
	_, err = o.Start(ctx, c, r, nil)
	return err
}

// flaky is a connection that breaks again and again, each time a little later.
type flaky struct {
	server *embedded.Server
	writes int
}

func (p *flaky) InProcessConn() (net.Conn, error) {
	p.writes++
	return (&frail{p.server, 3 + 3*p.writes}).InProcessConn()
}

func TestAnUploadGoesOnByItselfWhenItsConnectionIsLost(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		connections := &flaky{server: f.server}
		nc, err := f.server.Conn(nats.InProcessServer(connections), nats.MaxReconnects(-1), nats.ReconnectBufSize(-1),
			nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0), nats.RetryOnFailedConnect(true))
		require.NoError(t, err)
		defer nc.Close()
		var o *queue.Organizer
		require.Eventually(t, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			o, err = queue.NewOrganizer(ctx, nc)
			return err == nil
		}, time.Minute, 100*time.Millisecond)
		o.SetBatch(3)
		u, err := o.Start(t.Context(), queue.CampaignOrder{Address: campaign}, players(1, 16*20), nil)
		require.NoError(t, err)
		assert.Equal(t, 320, u.Stored)
		assert.Greater(t, connections.writes, 3, "it was lost several times")
		jobs := f.waiting(campaign)
		require.Len(t, jobs, 20)
		for n, j := range jobs {
			require.Equal(t, queue.XUID(16*n+1), j.InvitedUsers[0])
		}
	})
}

func TestUploadsAtTheSameTimeStoreEachJobOnce(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		var uploads sync.WaitGroup
		for range 3 {
			own := connect(t, f.server)
			uploads.Go(func() {
				u, err := organize(t, own.nc, 2).Start(t.Context(), queue.CampaignOrder{Address: campaign}, players(1, 16*30), nil)
				assert.NoError(t, err)
				assert.Equal(t, 480, u.Stored)
			})
		}
		uploads.Wait()
		time.Sleep(2 * time.Second)
		seen := map[queue.XUID]int{}
		for _, j := range f.end(w) {
			for _, x := range j.InvitedUsers {
				seen[x]++
			}
		}
		require.Len(t, seen, 480)
		for x, times := range seen {
			require.Equal(t, 1, times, "recipient %d", x)
		}
	})
}

// A job that was replayed, and one that somebody published by hand, come after the last job that the upload has stored.
func TestWhatElseIsInTheCampaignsQueueDoesNotMisleadAnUpload(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.forgetMessageIDsAfter(time.Minute)
		for n := 1; ; n++ {
			a := queue.Address{TitleID: 100, Sender: "alice", Campaign: fmt.Sprint("c", n)}
			order, r := queue.CampaignOrder{Address: a}, players(1, 16*7)
			nc, err := f.server.Conn(nats.InProcessServer(&frail{f.server, 3 + n}), nats.NoReconnect())
			require.NoError(t, err)
			first := uploadOver(t, nc, order, r)
			nc.Close()
			extra := 0
			if jobs := f.waiting(a); len(jobs) > 0 {
				f.publish(a, jobs[0], queue.WithMsgID("replay:1"+a.Campaign)) // with its old name
				f.publish(a, job("by hand", 5000))
				extra = 2
			}
			time.Sleep(2 * time.Minute)
			f.start(order, r)
			require.Len(t, f.waiting(a), 7+extra, "interrupted at write %d, which said %v", n, first)
			if first == nil {
				break
			}
		}
	})
}

func TestAFullQueueRefusesAndTheUploadIsGoneOnWithLater(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	s, err := f.js.Stream(t.Context(), "INVITE_CAMPAIGNS")
	require.NoError(t, err)
	limit := func(messages int64) {
		config := s.CachedInfo().Config
		config.MaxMsgs = messages
		_, err := f.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	limit(10)
	order, r := queue.CampaignOrder{Address: campaign}, players(1, 16*20)
	u, err := organize(t, f.nc, 3).Start(t.Context(), order, r, nil)
	require.ErrorIs(t, err, queue.ErrFull)
	assert.Equal(t, 9*16, u.Stored, "whole batches")
	assert.Len(t, f.waiting(campaign), 9)
	limit(-1)
	u = f.start(order, r)
	assert.Equal(t, 9*16, u.Before)
	assert.Equal(t, 20*16, u.Stored)
	assert.Len(t, f.waiting(campaign), 20)
}

// startUntilStored interrupts an upload when nobody has told that its first jobs are stored, and returns how many are.
func (f *fixture) startUntilStored(c queue.CampaignOrder, r *queue.Recipients) (jobs int) {
	f.Helper()
	for n := 1; ; n++ {
		nc, err := f.server.Conn(nats.InProcessServer(&frail{f.server, 3 + n}), nats.NoReconnect())
		require.NoError(f, err)
		_ = uploadOver(f.T, nc, c, r)
		nc.Close()
		if jobs = len(f.waiting(c.Address)); jobs > 0 {
			return jobs
		}
	}
}

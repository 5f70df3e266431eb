package queue_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
)

const every = time.Second

// watching is a watch going on.
type watching struct {
	*testing.T
	stop func()
	seen chan queue.CampaignStatus
	err  chan error // how it ended
}

func watch(t *testing.T, o *queue.Organizer, a queue.Address) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{T: t, seen: make(chan queue.CampaignStatus, 100_000), err: make(chan error, 1)}
	go func() {
		var ended error
		for s, err := range o.Watch(ctx, a, every) {
			if ended = err; err == nil {
				w.seen <- s
			}
		}
		w.err <- ended
	}()
	w.stop = func() {
		cancel()
		require.NoError(t, <-w.err, "its context's end is no error")
	}
	return w
}

// after lets it look, and returns what it told meanwhile. It is for a bubble.
func (w *watching) after(d time.Duration) (all []queue.CampaignStatus) {
	time.Sleep(d)
	for len(w.seen) > 0 {
		all = append(all, <-w.seen)
	}
	return all
}

func TestAWatchTellsHowACampaignIsAndOfEachChange(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 32))
		watched := watch(t, organize(t, f.nc, 3), campaign)
		told := func() queue.CampaignStatus {
			t.Helper()
			all := watched.after(3 * every)
			require.NotEmpty(t, all)
			for _, s := range all { // several, if the rate comes to be known
				require.Equal(t, endedOf(f.status(campaign)), endedOf(s))
			}
			return all[0]
		}
		assert.Equal(t, queue.CampaignWaiting, told().State)
		w := f.consume()
		d, next := w.next(), w.next()
		assert.Empty(t, watched.after(time.Minute), "nothing changed")
		f.save(d, sentOf(5, 16))
		assert.Equal(t, ended{sent: 5, left: 27}, endedOf(told()))
		f.settle(d, queue.Ending{Sent: 16})
		assert.Equal(t, 1, told().Jobs)
		f.settle(next, queue.Ending{Sent: 16})
		all := watched.after(10 * time.Minute)
		require.NotEmpty(t, all)
		assert.Equal(t, queue.CampaignEnded, all[len(all)-1].State)
		assert.Zero(t, all[len(all)-1].Rate, "it tells that nothing ends any more")
		for i, s := range all {
			assert.True(t, i == 0 || s.Rate == 0 || s.Rate < all[i-1].Rate*0.9 || s.Rate > all[i-1].Rate*1.1,
				"by itself the rate is told of when it is another one: %v, %v", all[max(i-1, 0)].Rate, s.Rate)
		}

		f.publish(campaign, job("one more", 100))
		require.Eventually(t, func() bool { return len(watched.seen) > 0 }, time.Minute, every)
		assert.Equal(t, queue.CampaignSending, (<-watched.seen).State, "it goes on after the end")
		watched.stop()
	})
}

// TestAWatchKnowsAtAnyTimeWhatAStatusKnows has all sorts of things happen to some jobs; a status reads everything anew.
func TestAWatchKnowsAtAnyTimeWhatAStatusKnows(t *testing.T) {
	for seed := range uint64(3) {
		inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
			dice := rand.New(rand.NewPCG(seed, 0))
			f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*20))
			watched := watch(t, organize(t, f.nc, 3), campaign)
			var last queue.CampaignStatus
			w := f.consume()
			over := make(map[*queue.Delivery]bool)
			saved := make(map[*queue.Delivery]int)
			var jobs []*queue.Delivery
			for range 20 {
				jobs = append(jobs, w.next())
			}
			for step := range 60 {
				d := jobs[dice.IntN(len(jobs))]
				switch what := dice.IntN(8); {
				case what == 0:
					time.Sleep(summing)
				case what == 1 && !over[d]: // and its worker dies: the record and the job stay
					f.storeResult(d, 16)
					over[d] = true
				case what == 2 && over[d]: // two workers had it: a second result takes the first one's place
					f.settle(d, queue.Ending{Sent: 15, MaybeDuplicate: true, Dead: []queue.Dead{
						{Reason: queue.Exhausted, Recipients: d.Job.InvitedUsers[15:]},
					}})
				case what <= 4 && !over[d]:
					f.settle(d, queue.Ending{Sent: 16})
					over[d] = true
				case !over[d] && saved[d] < 16:
					saved[d] += 1 + dice.IntN(16-saved[d])
					f.save(d, sentOf(saved[d], 16))
				}
				if dice.IntN(3) > 0 { // else several happen between two looks
					for _, s := range watched.after(2 * every) {
						last = s
					}
					want := f.status(campaign)
					want.Rate, want.History = last.Rate, last.History
					require.Equal(t, want, last, "seed %d, step %d", seed, step)
				}
			}
			require.Positive(t, last.Jobs)
			watched.stop()
		})
	}
}

func TestALookReadsNoResultThatAnEarlierOneRead(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*10))
		var mu sync.Mutex
		reads := make(map[string]int)
		o := organize(t, f.nc, 3)
		o.Interpose(func(stream, read string) {
			mu.Lock()
			defer mu.Unlock()
			reads[stream+" "+read]++
		})
		w := f.consume()
		for range 5 {
			f.settle(w.next(), queue.Ending{Sent: 16})
		}
		w.stop() // nobody sums up
		watched := watch(t, o, campaign)
		require.NotEmpty(t, watched.after(100*every))
		watched.stop()
		assert.Equal(t, 1, reads["INVITE_RESULTS consumer"], "the first look alone read results")
		total := 0
		for _, n := range reads {
			total += n
		}
		assert.LessOrEqual(t, total, 102*8, "a look is a few requests: %v", reads)
	})
}

func TestWhatAWatchRemembersDoesNotGrow(t *testing.T) {
	inFakeTime(t, queue.Options{AckWait: time.Hour}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 16*10))
		w := f.consume()
		left := w.next()
		f.saveByHand(left, 5)
		kept, err := organize(t, f.nc, 3).Looks(t.Context(), campaign, func() {
			f.storeResult(left, 16) // its record is left
			for range 5 {
				f.settle(w.next(), queue.Ending{Sent: 16})
			}
		}, func() {
			f.settle(w.next(), queue.Ending{Sent: 16})
		}, func() {})
		require.NoError(t, err)
		assert.Equal(t, []int{6, 2, 1}, kept, "what ended since the look before, and whose record is left")
	})
}

func TestAWatchOfWhatIsNotThereEnds(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		o := organize(t, f.nc, 3)
		require.ErrorIs(t, <-watch(t, o, campaign).err, queue.ErrNoCampaign)
		var wrong *queue.AddressError
		require.ErrorAs(t, <-watch(t, o, queue.Address{TitleID: 1, Sender: "a.b", Campaign: "c"}).err, &wrong)

		f.publish(campaign, job("a", 1))
		w := f.consume()
		f.settle(w.next(), queue.Ending{Sent: 1})
		watched := watch(t, o, campaign)
		require.NotEmpty(t, watched.after(time.Minute))
		w.stop()
		f.forgetResults()
		s, err := f.js.Stream(t.Context(), "INVITE_CONTROL")
		require.NoError(t, err)
		require.NoError(t, s.Purge(t.Context())) // whoever removes a campaign's records
		require.ErrorIs(t, <-watched.err, queue.ErrNoCampaign)
	})
}

// cable is a connection that somebody can pull out.
type cable struct {
	server *embedded.Server
	mu     sync.Mutex
	out    bool
	conn   net.Conn
}

func (c *cable) InProcessConn() (conn net.Conn, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out {
		return nil, errors.New("the cable is out")
	}
	c.conn, err = c.server.InProcessConn()
	return c.conn, err
}

func (c *cable) pull(out bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out = out; out {
		_ = c.conn.Close()
	}
}

func TestAWatchOutlivesALostConnection(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		f.start(queue.CampaignOrder{Address: campaign}, players(1, 32))
		plug := &cable{server: f.server}
		nc, err := f.server.Conn(nats.InProcessServer(plug), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond), nats.ReconnectJitter(0, 0))
		require.NoError(t, err)
		defer nc.Close()
		watched := watch(t, organize(t, nc, 3), campaign)
		require.Len(t, watched.after(3*every), 1)
		w := f.consume()
		plug.pull(true)
		f.settle(w.next(), queue.Ending{Sent: 16})
		assert.Empty(t, watched.after(40*time.Second))
		plug.pull(false)
		all := watched.after(10 * time.Second)
		require.NotEmpty(t, all)
		assert.Equal(t, ended{sent: 16, left: 16}, endedOf(all[0]))

		plug.pull(true)
		began := time.Now()
		require.Error(t, <-watched.err, "without an answer for a minute it gives up")
		assert.WithinDuration(t, began.Add(time.Minute), time.Now(), 10*time.Second)
	})
}

package queue_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

// tenant is a worker that writes down what it owns when, in a book it shares
// with others. It holds deliveries until it is told to let go of them.
type tenant struct {
	*fixture
	book *book
	stop func()

	unclean atomic.Bool // it hands over, and says that it could not tell all

	mu   sync.Mutex
	held []*queue.Delivery
}

// book is whose each partition was, and checks that it was one worker's at a time.
type book struct {
	*testing.T
	mu     sync.Mutex
	owners map[int]*tenant
	gained map[*tenant]int
}

func newBook(t *testing.T) *book {
	return &book{T: t, owners: make(map[int]*tenant), gained: make(map[*tenant]int)}
}

// join starts a worker on a connection of its own.
func (b *book) join(f *fixture, opts ...nats.Option) *tenant {
	b.Helper()
	w := &tenant{fixture: dial(b.T, f.server, opts...), book: b}
	w.open(queue.Options{Partitions: 16})
	w.stop = w.work(w)
	return w
}

func (w *tenant) Own(partition int, _ []queue.KeyState) {
	w.book.mu.Lock()
	defer w.book.mu.Unlock()
	if other := w.book.owners[partition]; other != nil && other != w {
		assert.Falsef(w.book, time.Now().Before(other.queue.Lease()),
			"partition %d has a new owner while the lease of the old one lasts", partition)
	}
	w.book.owners[partition] = w
	w.book.gained[w]++
}

func (w *tenant) Deliver(d *queue.Delivery) {
	w.book.mu.Lock()
	assert.Samef(w.book, w, w.book.owners[d.Partition], "job %s of partition %d", d.ID(), d.Partition)
	w.book.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, d)
}

func (w *tenant) Waits(queue.Address) bool { return false }

func (w *tenant) Withdraw(queue.Address) {}

func (w *tenant) Disown(_ context.Context, partition int, lost bool) bool {
	w.book.mu.Lock()
	if w.book.owners[partition] == w {
		delete(w.book.owners, partition)
	}
	w.book.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	kept := w.held[:0]
	for _, d := range w.held {
		switch {
		case d.Partition != partition:
			kept = append(kept, d)
		case !lost:
			assert.NoError(w.book, d.Release(0))
		}
	}
	w.held = kept
	return !w.unclean.Load()
}

// take empties the worker's hands.
func (w *tenant) take() []*queue.Delivery {
	w.mu.Lock()
	defer w.mu.Unlock()
	held := w.held
	w.held = nil
	return held
}

// claims is how often anybody has become an owner.
func (b *book) claims() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, gained := range b.gained {
		n += gained
	}
	return n
}

func (b *book) shares() map[*tenant]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	shares := make(map[*tenant]int)
	for _, w := range b.owners {
		shares[w]++
	}
	return shares
}

func TestPartitionsAreSharedAndEachHasOneOwner(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		workers := []*tenant{b.join(f)}
		time.Sleep(time.Second)
		assert.Equal(t, 16, b.shares()[workers[0]], "a worker alone has all")
		for n := 2; n <= 5; n++ {
			before := b.gained[workers[0]]
			workers = append(workers, b.join(f))
			time.Sleep(2 * time.Second)
			shares := b.shares()
			assert.Equal(t, before, b.gained[workers[0]], "who is there gains nothing from one who comes")
			total := 0
			for _, w := range workers {
				total += shares[w]
			}
			assert.Equal(t, 16, total, "each partition has an owner among %d workers", n)
		}
		for _, w := range workers[1:] {
			w.stop()
			time.Sleep(time.Second)
		}
		assert.Equal(t, 16, b.shares()[workers[0]], "what others had comes back")
	})
}

func TestAWorkerThatLeavesHandsOverAtOnce(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		leaving, staying := b.join(f), b.join(f)
		time.Sleep(5 * time.Second)
		for i := range 200 {
			f.publish(queue.Address{TitleID: 7, Sender: fmt.Sprint("s", i)}, job(fmt.Sprint(i)))
			f.publish(queue.Address{TitleID: 7, Sender: fmt.Sprint("s", i), Campaign: "cup"}, job(fmt.Sprint("bulk", i)))
		}
		time.Sleep(2 * time.Second)
		leaving.mu.Lock()
		require.NotEmpty(t, leaving.held)
		leaving.mu.Unlock()
		leaving.stop()
		time.Sleep(900 * time.Millisecond)
		got := map[string]bool{}
		for _, d := range staying.take() {
			assert.False(t, d.MaybeSent, "what was given back in order was not sent")
			got[d.ID()] = true
		}
		assert.Len(t, got, 400, "all jobs are with the one that stays, campaigns too, within a second")
	})
}

func TestWhatAWorkerThatDiesHadInHandIsTakenOverWithinFiveSeconds(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		dying, staying := b.join(f), b.join(f)
		time.Sleep(5 * time.Second)
		publish := func(prefix string) {
			for i := range 200 {
				f.publish(queue.Address{TitleID: 7, Sender: fmt.Sprint("s", i)}, job(fmt.Sprint(prefix, i)))
				f.publish(queue.Address{TitleID: 7, Sender: fmt.Sprint("s", i), Campaign: "cup"}, job(fmt.Sprint(prefix, "bulk", i)))
			}
		}
		publish("before")
		time.Sleep(2 * time.Second)
		inHand := map[string]bool{}
		for _, d := range dying.take() {
			inHand[d.ID()] = true
		}
		require.NotEmpty(t, inHand)
		staying.take()

		dying.nc.Close()
		dying.stop()
		publish("after")
		time.Sleep(5 * time.Second)
		got := map[string]bool{}
		for _, d := range staying.take() {
			got[d.ID()] = true
			if inHand[d.ID()] {
				assert.True(t, d.MaybeSent, "job %s may have been sent by the one that died", d.ID())
			} else {
				assert.Contains(t, d.ID(), "after")
				assert.False(t, d.MaybeSent, "job %s came later", d.ID())
			}
		}
		assert.Len(t, got, 400+len(inHand))
	})
}

func TestAWorkerThatIsCutOffLosesItsPartitionsBeforeAnotherHasThem(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		cutOff, other := b.join(f, nats.InProcessServer(w)), b.join(f)
		time.Sleep(5 * time.Second)
		require.NotZero(t, b.shares()[cutOff])
		w.Cut()
		time.Sleep(2600 * time.Millisecond)
		assert.False(t, time.Now().Before(cutOff.queue.Lease()), "it knows by itself that it may not send")
		time.Sleep(2400 * time.Millisecond)
		assert.Equal(t, 16, b.shares()[other], "and another has it all within five seconds")
		time.Sleep(5 * time.Second)
		w.Mend()
		time.Sleep(10 * time.Second)
		shares := b.shares()
		assert.Equal(t, 16, shares[other]+shares[cutOff])
		assert.NotZero(t, shares[cutOff], "it is back at work")
		assert.True(t, time.Now().Before(cutOff.queue.Lease()))
	})
}

func TestWhatAWorkerSavesAfterItsLeaseDoesNotReplaceWhatTheNextOwnerSaved(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		cutOff := b.join(f, nats.InProcessServer(w))
		time.Sleep(5 * time.Second)
		f.publish(alice, job("a"))
		time.Sleep(time.Second)
		mine := cutOff.take()
		require.Len(t, mine, 1)
		saveAll := func(q *queue.Queue, d *queue.Delivery, calls int) {
			q.SaveProgress(t.Context(), d, queue.Progress{Attempts: calls}, func(error) {})
			for n := range 16 {
				q.SaveKey(t.Context(), queue.KeyState{
					Partition: n, TitleID: 1, Sender: "s", Calls: []queue.CallRun{{At: time.Now(), N: calls}}, Until: time.Now().Add(time.Hour),
				}, func(error) {})
			}
		}
		saveAll(cutOff.queue, mine[0], 1)
		other := b.join(f)
		time.Sleep(5 * time.Second)
		w.Cut()
		// It has lost them, and is still finding that out: its worker is not told yet.
		require.Eventually(t, func() bool { return b.shares()[other] == 16 }, 10*time.Second, 100*time.Millisecond)
		theirs := slices.Concat(mine, other.take())
		saveAll(other.queue, theirs[len(theirs)-1], 2)
		saveAll(cutOff.queue, mine[0], 3)
		time.Sleep(time.Second)
		w.Mend()
		time.Sleep(20 * time.Second)
		for _, stream := range []string{"INVITE_KEYS", queue.ProgressStream} {
			stored, err := f.js.Stream(t.Context(), stream)
			require.NoError(t, err)
			for sequence := range stored.CachedInfo().State.LastSeq {
				if m, err := stored.GetMsg(t.Context(), sequence+1); err == nil {
					assert.NotRegexp(t, `"(n|attempts)":\[?3`, string(m.Data), "on %s", m.Subject)
				}
			}
		}
	})
}

// TestAJobThatComesWhileNobodyIsThereIsTheNextOwnersAtOnce: the server then pins a client that has left, for it still has its request.
func TestAJobThatComesWhileNobodyIsThereIsTheNextOwnersAtOnce(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		first := f.consume()
		time.Sleep(time.Second) // it has nothing to do
		first.stop()
		f.publish(alice, job("waits"))

		restarted := connect(t, f.server)
		restarted.open(queue.Options{})
		began := time.Now()
		w := restarted.consume()
		assert.Equal(t, "waits", w.next().ID())
		assert.Less(t, time.Since(began), 500*time.Millisecond)
	})
}

func TestAWorkerThatStopsAfterItsLeaseHasNotHandedOverInOrder(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		cutOff := b.join(f, nats.InProcessServer(w))
		time.Sleep(5 * time.Second)
		f.publish(alice, job("a"))
		time.Sleep(time.Second)
		require.Len(t, cutOff.take(), 1)
		w.Cut()
		time.Sleep(time.Second)
		go cutOff.stop() // its lease still lasts
		time.Sleep(6 * time.Second)
		w.Mend()
		other := b.join(f)
		time.Sleep(10 * time.Second)
		mine := other.take()
		require.Len(t, mine, 1)
		require.True(t, mine[0].MaybeSent, "what it had in hand, and could not store")
	})
}

// patient takes long to hand over.
type patient struct {
	*tenant
	takes time.Duration
}

// Disown takes its time, which is the bubble's.
func (w patient) Disown(ctx context.Context, partition int, lost bool) bool {
	time.Sleep(w.takes)
	return w.tenant.Disown(ctx, partition, lost)
}

func TestAWorkerWhoseLeaseEndsWhileItHandsOverHasNotHandedOverInOrder(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		wire := &embeddedtest.Wire{Server: f.server}
		slow := &tenant{fixture: dial(t, f.server, nats.InProcessServer(wire)), book: b}
		slow.open(queue.Options{Partitions: 1})
		stop := slow.work(patient{slow, 6 * time.Second})
		time.Sleep(5 * time.Second)
		f.publish(alice, job("a"))
		time.Sleep(time.Second)
		go stop()
		time.Sleep(time.Second)
		wire.Cut()
		time.Sleep(4 * time.Second)
		wire.Mend()
		other := b.join(f)
		time.Sleep(15 * time.Second)
		mine := other.take()
		require.Len(t, mine, 1)
		require.True(t, mine[0].MaybeSent, "what it stored last was not stored any more")
	})
}

func TestAShortCutOfEverybodyMovesNothing(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		w := &embeddedtest.Wire{Server: f.server}
		one, two := b.join(f, nats.InProcessServer(w)), b.join(f, nats.InProcessServer(w))
		time.Sleep(5 * time.Second)
		before := b.shares()
		w.Cut()
		time.Sleep(20 * time.Second)
		w.Mend()
		time.Sleep(15 * time.Second) // to connect again, and to be there for a lease's time
		assert.True(t, maps.Equal(before, b.shares()), "nobody is taken for dead who was only as silent as all others")
		f.publish(alice, job("a"))
		time.Sleep(time.Second)
		assert.Len(t, append(one.take(), two.take()...), 1)
	})
}

func TestACampaignIsItsKeysOwners(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		workers := []*tenant{b.join(f), b.join(f), b.join(f)}
		time.Sleep(5 * time.Second)
		for i := range 100 {
			sender := fmt.Sprint("sender-", i)
			f.publish(queue.Address{TitleID: uint32(i + 1), Sender: sender}, job("a"))
			f.publish(queue.Address{TitleID: uint32(i + 1), Sender: sender, Campaign: "spring"}, job("b"))
		}
		time.Sleep(2 * time.Second)
		partition := map[string]int{}
		total := 0
		for _, w := range workers {
			for _, d := range w.take() {
				total++
				if p, ok := partition[d.Address.Sender]; ok {
					assert.Equal(t, p, d.Partition, "our partition of a key is the server's")
				}
				partition[d.Address.Sender] = d.Partition
			}
		}
		assert.Equal(t, 200, total)
	})
}

func TestAnOwnersRecordThatNobodyCanReadIsWrittenOver(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 16}, func(t *testing.T, f *fixture) {
		b := newBook(t)
		workers := []*tenant{b.join(f), b.join(f)}
		time.Sleep(2 * time.Second)
		before := b.claims()
		for n := range 16 {
			_, err := f.js.Publish(t.Context(), fmt.Sprint("invites.workers.owner.", n), []byte("\x00no worker wrote this"))
			require.NoError(t, err)
		}
		time.Sleep(5 * time.Second)
		assert.Equal(t, before+16, b.claims(), "whoever should own them has claimed them anew")
		f.publish(alice, job("a"))
		time.Sleep(time.Second)
		assert.Len(t, append(workers[0].take(), workers[1].take()...), 1, "and they work")
	})
}

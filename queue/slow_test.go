package queue_test

import (
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// far is a network between a client and its server: everything takes its time, each way.
type far struct {
	server nats.InProcessConnProvider
	oneWay time.Duration
}

func (f far) InProcessConn() (net.Conn, error) {
	inner, err := f.server.InProcessConn()
	if err != nil {
		return nil, err
	}
	c := &farConn{Conn: inner, far: f, out: make(chan parcel, 10_000), in: make(chan parcel, 10_000), closed: make(chan struct{})}
	go c.send()
	go c.receive()
	return c, nil
}

type parcel struct {
	bytes []byte
	at    time.Time
}

type farConn struct {
	net.Conn
	far
	out, in chan parcel // large: a writer that waited would hold a lock, which stops fake time
	rest    []byte
	once    sync.Once
	closed  chan struct{}
}

func (c *farConn) send() {
	for {
		select {
		case p := <-c.out:
			<-time.After(time.Until(p.at))
			if _, err := c.Conn.Write(p.bytes); err != nil {
				return
			}
		case <-c.closed:
			return
		}
	}
}

func (c *farConn) receive() {
	defer close(c.in)
	for {
		b := make([]byte, 32<<10)
		n, err := c.Conn.Read(b)
		if err != nil {
			return
		}
		c.in <- parcel{b[:n], time.Now().Add(c.oneWay)}
	}
}

func (c *farConn) Read(b []byte) (int, error) {
	if len(c.rest) == 0 {
		p, ok := <-c.in
		if !ok {
			return 0, net.ErrClosed
		}
		<-time.After(time.Until(p.at))
		c.rest = p.bytes
	}
	n := copy(b, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func (c *farConn) Write(b []byte) (int, error) {
	select {
	case c.out <- parcel{slices.Clone(b), time.Now().Add(c.oneWay)}:
		return len(b), nil
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *farConn) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// One partition: several sources wait for each other with a lock, which stops fake time.
func TestAFarWorkerTakesOverWhatGoneOnesHad(t *testing.T) {
	for _, roundTrip := range []time.Duration{100 * time.Millisecond, 300 * time.Millisecond, 600 * time.Millisecond} {
		t.Run(roundTrip.String(), func(t *testing.T) {
			inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
				var near []*worker
				for range 3 { // one of them is the owner, most likely
					w := connect(t, f.server)
					w.open(queue.Options{Partitions: 1})
					near = append(near, w.consume())
				}
				last := dial(t, f.server, nats.InProcessServer(far{f.server, roundTrip / 2}))
				last.open(queue.Options{Partitions: 1})
				w := last.consume()
				time.Sleep(time.Minute)
				f.publish(alice, job("a"))
				time.Sleep(time.Second)
				for _, w := range near {
					w.die()
				}
				died := time.Now()
				w.next()
				require.Less(t, time.Since(died), 20*time.Second)
			})
		})
	}
}

// withdrawals is a worker that is done with nothing, and tells of campaigns that are withdrawn.
type withdrawals struct {
	queue.DeliverFunc
	withdrawn chan queue.Address
}

func (w withdrawals) Withdraw(a queue.Address) { w.withdrawn <- a }

// pause pauses a campaign, and returns how long it takes until its jobs are withdrawn.
func (w withdrawals) pause(t *testing.T, o *queue.Organizer, a queue.Address) time.Duration {
	t.Helper()
	_, err := o.Pause(t.Context(), a)
	require.NoError(t, err)
	began := time.Now()
	for <-w.withdrawn != a {
	}
	return time.Since(began)
}

// A campaign of which nothing comes, as its key's quota is used up, is looked at whether it is over.
func TestAFarWorkerOfManyCampaignsLetsGoOfAPausedOneWithinASecond(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		const many = 300
		far := dial(t, f.server, nats.InProcessServer(far{f.server, 20 * time.Millisecond}))
		far.open(queue.Options{Partitions: 1})
		w := withdrawals{func(*queue.Delivery) {}, make(chan queue.Address, many)}
		far.work(w)
		o := organize(t, f.nc, 3)
		for i := range many {
			a := campaign
			a.Campaign = strconv.Itoa(i)
			f.publish(a, job("a"))
		}
		time.Sleep(20 * time.Second)
		for i := range 10 {
			a := campaign
			a.Campaign = strconv.Itoa(i)
			time.Sleep(700 * time.Millisecond) // at any moment
			require.Less(t, w.pause(t, o, a), time.Second)
		}
	})
}

func TestAPausedCampaignIsLetGoOfThoughItsConsumerHasNoAnswer(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 1}, func(t *testing.T, f *fixture) {
		var silent atomic.Bool
		f.queue.Interpose(func(stream, read string) {
			if stream == queue.CampaignsStream && read == "look at a consumer" && silent.Load() {
				time.Sleep(2 * time.Second)
			}
		})
		w := withdrawals{func(*queue.Delivery) {}, make(chan queue.Address, 8)}
		f.work(w)
		for _, name := range []string{"spring", "autumn"} {
			a := campaign
			a.Campaign = name
			f.publish(a, job("a"))
		}
		time.Sleep(2 * time.Second)
		silent.Store(true)
		o := organize(t, f.nc, 3)
		for _, name := range []string{"spring", "autumn"} { // the first is stopping still
			a := campaign
			a.Campaign = name
			require.Less(t, w.pause(t, o, a), time.Second)
		}
	})
}

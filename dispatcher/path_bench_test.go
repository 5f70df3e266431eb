package dispatcher_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/dispatcher/plan"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// path is a worker with nothing around it: the service answers at once, and
// what is stored is stored at once. What is left is the dispatcher's own.
type path struct {
	nobody
	t       testing.TB
	worker  *dispatcher.Dispatcher
	room    chan struct{} // a place for each job that may wait
	senders []string
	users   []queue.XUID // of as many jobs as may wait: those of one user share no call
	each    int          // recipients of a job
	began   time.Time
	blank   []queue.Delivery // made many at a time: they are the queue's cost
	n       uint64
}

func (*path) SendInvites(context.Context, xbl.Invite) error { return nil }

func (*path) Settle(_ context.Context, _ *queue.Delivery, _ queue.Ending, done func(error)) {
	done(nil)
}

func (*path) SaveProgress(_ context.Context, _ *queue.Delivery, _ queue.Progress, done func(error)) {
	done(nil)
}

func (*path) SaveKey(_ context.Context, _ queue.KeyState, done func(error)) { done(nil) }

func (p *path) Lease() time.Time { return p.began.Add(time.Hour) }

func (p *path) JobEnded(j dispatcher.JobEnded) {
	if j.Sent != p.each {
		p.t.Errorf("a job ended with %d recipients sent, not %d", j.Sent, p.each)
	}
	<-p.room
}

// pathShape says what goes along it.
type pathShape struct {
	recipients int           // of a job
	waiting    int           // jobs at any time
	windows    []plan.Window // nil: no quota
}

const pathSenders = 16

// newPath is a path with a running worker.
func newPath(t testing.TB, shape pathShape) *path {
	t.Helper()
	p := &path{
		t: t, room: make(chan struct{}, shape.waiting), users: someone(shape.waiting * shape.recipients), each: shape.recipients,
		began: time.Now(),
	}
	for i := range pathSenders {
		p.senders = append(p.senders, fmt.Sprint("lobby-", i))
	}
	p.worker = dispatcher.New(dispatcher.Config{
		Plan: plan.Config{
			Limits: plan.Limits{MaxInFlight: 4, Windows: shape.windows}, MaxInFlight: 256, MaxAttempts: 8,
			Retry: dispatcher.Retries(time.Second, time.Minute), Probe: dispatcher.Probes(),
		},
		InteractiveTTL: 5 * time.Minute, AckWait: time.Hour, Grace: 20 * time.Second,
		Logger: slog.New(slog.DiscardHandler),
	}, p, p, p, p)
	ctx, stop := context.WithCancel(t.Context())
	ran := make(chan error, 1)
	go func() { ran <- p.worker.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ran)
	})
	p.worker.Own(0, nil)
	return p
}

// deliver delivers one job, as soon as there is room for it.
func (p *path) deliver() {
	p.room <- struct{}{}
	if len(p.blank) == 0 {
		p.blank = make([]queue.Delivery, 1024)
	}
	x := &p.blank[0]
	p.blank = p.blank[1:]
	p.n++
	x.Address = queue.Address{TitleID: title, Sender: p.senders[p.n%pathSenders]}
	first := int(p.n%uint64(cap(p.room))) * p.each
	x.Lane, x.Job = queue.Interactive, queue.Job{InvitedUsers: p.users[first : first+p.each], ConnectionString: "lobby=42"}
	x.Stream, x.Sequence, x.PublishedAt, x.Published = queue.JobsStream, p.n, p.began, p.began
	p.worker.Deliver(x)
}

// end waits until all that was delivered has ended.
func (p *path) end() {
	for range cap(p.room) {
		p.room <- struct{}{}
	}
	for range cap(p.room) {
		<-p.room
	}
}

// BenchmarkAJobsPath is what the dispatcher itself does for a job, from its
// delivery to its stored ending.
func BenchmarkAJobsPath(b *testing.B) {
	for _, c := range []struct {
		name string
		pathShape
	}{
		{"full", pathShape{recipients: 16, waiting: 256}},
		{"shared", pathShape{recipients: 1, waiting: 2048}}, // several jobs in a call
		{"quota", pathShape{recipients: 16, waiting: 256, windows: []plan.Window{{Max: 50, Per: 5 * time.Millisecond}}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			p := newPath(b, c.pathShape)
			for range 4 * c.waiting { // what is made once is no cost of a job
				p.deliver()
			}
			b.ReportAllocs()
			for b.Loop() {
				p.deliver()
			}
			p.end()
		})
	}
}

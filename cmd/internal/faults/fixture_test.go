package faults

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

var (
	programs harness.Programs
	rounds   = flag.Int("rounds", 1, "how many times as much each fault is done")
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		programs.Remove()
		os.Exit(status)
	}))
}

const (
	title   = 730
	latency = 20 * time.Millisecond
	// inFlight is dispatch.max_in_flight of each worker: what a kill can make happen twice, in calls.
	inFlight = 8
	// patience is how long what is left may take once all trouble is over.
	patience = 3 * time.Minute
)

// bound is what may take so long. The race detector makes a program several times slower, on a machine that runs other tests too.
func bound(d time.Duration) time.Duration { return harness.Slower * d }

// senders have a token each.
var senders = []string{"ada", "bob", "cup", "dan"}

// scene is what a fault happens on: NATS, the simulator, workers, and this process as producer and auditor.
type scene struct {
	t         *testing.T
	nats      *harness.NATS
	sim       *harness.Sim
	conn      *nats.Conn
	publisher *queue.Publisher
	reader    *queue.Reader
	workers   []*harness.Worker
	options   harness.WorkerOptions

	mu      sync.Mutex
	jobs    map[string]*published // by id
	players queue.XUID            // that jobs were published for
}

// published is a job that a producer sent on its way.
type published struct {
	queue.Job
	to       queue.Address
	accepted bool // by the stream; false: refused, or nobody knows
	refused  bool // the stream said no
}

// stage sets a scene with a single NATS server.
func stage(t *testing.T, simFlags ...string) *scene {
	t.Helper()
	return stageOn(t, programs.NATS(t), simFlags...)
}

func stageOn(t *testing.T, server *harness.NATS, simFlags ...string) *scene {
	t.Helper()
	s := newScene(t, simFlags...)
	s.nats, s.options.NATS = server, server.URL()
	s.connect()
	return s
}

// stageEmbedded sets a scene with a worker that has the NATS server inside.
func stageEmbedded(t *testing.T, simFlags ...string) *scene {
	t.Helper()
	s := newScene(t, simFlags...)
	worker := s.join()
	s.options.NATS = worker.NATS
	s.connect()
	return s
}

func newScene(t *testing.T, simFlags ...string) *scene {
	t.Helper()
	s := &scene{
		t: t, jobs: make(map[string]*published),
		sim: programs.Sim(t, append([]string{"--latency", latency.String()}, simFlags...)...),
	}
	s.options = harness.WorkerOptions{
		API: s.sim.URL, Quota: harness.NoQuota, Tokens: harness.WriteTokens(t, senders...),
		Config: fmt.Sprintf("dispatch: {max_in_flight: %d}", inFlight),
	}
	return s
}

func (s *scene) connect() {
	s.t.Helper()
	var err error
	s.conn, err = queue.Connect(queue.ConnectOptions{URL: s.options.NATS, Name: "producer", Logger: slog.New(slog.DiscardHandler)})
	require.NoError(s.t, err)
	s.t.Cleanup(s.conn.Close)
	s.publisher, err = queue.NewPublisher(s.conn)
	require.NoError(s.t, err)
	s.reader, err = queue.NewReader(s.conn)
	require.NoError(s.t, err)
}

// join starts one more worker.
func (s *scene) join() *harness.Worker {
	s.t.Helper()
	w := programs.Worker(s.t, s.options)
	s.workers = append(s.workers, w)
	return w
}

// job makes a job for n players who have got none before.
func (s *scene) job(n int) queue.Job {
	s.mu.Lock()
	defer s.mu.Unlock()
	j := queue.Job{ID: fmt.Sprint("job-", s.players), ConnectionString: "lobby", InvitedUsers: make([]queue.XUID, n)}
	for i := range j.InvitedUsers {
		s.players++
		j.InvitedUsers[i] = firstPlayer + s.players
	}
	return j
}

// firstPlayer is where XUIDs begin.
const firstPlayer queue.XUID = 2533274790000000

// publish sends a job that has to be accepted.
func (s *scene) publish(to queue.Address, j queue.Job) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	require.NoError(s.t, s.try(ctx, to, j))
}

// briefly is how long a producer waits for an acknowledgement.
const briefly = 2 * time.Second

// tryBriefly sends a job as a producer does that does not wait for ever.
func (s *scene) tryBriefly(to queue.Address, j queue.Job) error {
	// A job that is being published when the test ends is published all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.t.Context()), briefly)
	defer cancel()
	return s.try(ctx, to, j)
}

// try sends a job once: one that was not acknowledged may have been stored or not, and either is right.
func (s *scene) try(ctx context.Context, to queue.Address, j queue.Job) error {
	p := &published{Job: j, to: to}
	s.mu.Lock()
	s.jobs[j.ID] = p
	s.mu.Unlock()
	_, err := s.publisher.Publish(ctx, to, j)
	s.mu.Lock()
	defer s.mu.Unlock()
	p.accepted, p.refused = err == nil, isFull(err)
	return err
}

// accepted is how many jobs the streams have accepted.
func (s *scene) accepted() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.jobs {
		if p.accepted {
			n++
		}
	}
	return n
}

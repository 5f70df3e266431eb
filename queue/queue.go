package queue

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Options of a Queue. The zero value of a field means its default.
type Options struct {
	Replicas   int // of the streams, when they are created, 1 to 5; 1
	Partitions int // of INVITES, when it is created, 1 to 512; 16

	AckWait           time.Duration // a delivery's lease, at least 1 s; 30 s
	MaxInHand         int           // jobs of one partition in hand; more are set aside; 512
	CampaignMaxInHand int           // jobs of one campaign in hand; 160
	CampaignsInHand   int           // and of all of them, where they are many: each has its part, but 32 at the least; 4,096
	KeepCampaigns     time.Duration // records of a campaign, after the last was written and nothing of it waits; at least 48 h; 30 days
	MaxPending        int           // endings and progress on their way to the streams; 4,096

	Logger *slog.Logger // slog.Default()
}

func (o Options) withDefaults() (Options, error) {
	o.Replicas = or(o.Replicas, 1)
	o.Partitions = or(o.Partitions, defaultPartitions)
	o.AckWait = or(o.AckWait, 30*time.Second)
	o.MaxInHand = or(o.MaxInHand, 512)
	o.CampaignMaxInHand = or(o.CampaignMaxInHand, 160)
	o.CampaignsInHand = or(o.CampaignsInHand, 4096)
	o.KeepCampaigns = or(o.KeepCampaigns, 30*24*time.Hour)
	o.MaxPending = or(o.MaxPending, 4096)
	o.Logger = or(o.Logger, slog.Default())
	switch {
	case o.Replicas < 1 || o.Replicas > 5:
		return o, fmt.Errorf("replicas %d: 1 to 5 are possible", o.Replicas)
	case o.Partitions < 1 || o.Partitions > maxPartitions:
		return o, fmt.Errorf("partitions %d: 1 to %d are possible", o.Partitions, maxPartitions)
	case o.AckWait < time.Second:
		return o, fmt.Errorf("ack wait %s: at least 1s is needed", o.AckWait)
	case o.KeepCampaigns < 2*resultsKept: // a tally that is removed before its results would be made anew
		return o, fmt.Errorf("campaigns kept for %s: at least %s is needed", o.KeepCampaigns, 2*resultsKept)
	case o.MaxInHand < 1 || o.CampaignMaxInHand < 1 || o.CampaignsInHand < 1 || o.MaxPending < 1:
		return o, errors.New("limits of pending messages must be above 0")
	}
	return o, nil
}

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// Queue is a worker's side of the streams. It is safe for concurrent use.
type Queue struct {
	nc         *nats.Conn
	js         jetstream.JetStream
	opts       Options
	log        *slog.Logger
	partitions int
	streams    map[string]jetstream.Stream // by name
	wanted     []jetstream.StreamConfig

	settler  *settler
	records  *records
	progress *progressLog
	endings  *endings
	looking  chan struct{} // holds a token while somebody looks for a job's result
	doubt    *doubt
	members  atomic.Pointer[members] // of the Consume going on; nil: none
	clock    serverClock
	counts   map[Lane]*subjectCounts
	trouble  trouble
	quota    atomic.Pointer[Quota] // that AnnounceQuota said last; nil: none
	quotaSet chan struct{}         // holds one token when that is new

	report atomic.Pointer[func() Activity] // what this worker tells of its work; nil: nothing
}

// apiTimeout limits each call of the JetStream API: one that a permission
// forbids is never answered.
const apiTimeout = 10 * time.Second

// tryTimeout limits one try of what is tried again until it succeeds: a request
// that a server took with it when it died is never answered, and what waits for
// it keeps others waiting.
const tryTimeout = 3 * time.Second

// Open creates the streams that are missing and returns the queue. It is safe
// when several workers start at once. A stream that is there and differs in a
// way that matters is a *TopologyError (joined with others there are): it is
// never changed. nc stays the caller's; close the queue first.
func Open(ctx context.Context, nc *nats.Conn, o Options) (*Queue, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	if err := checkServer(nc); err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	js, err := newJetStream(nc)
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	found, err := createStreams(ctx, js, streams(o, nc.MaxPayload()))
	if last := nc.LastError(); err != nil && last != nil && !nc.IsConnected() {
		err = fmt.Errorf("%w (the last attempt to connect: %s)", err, withoutSecrets(last.Error()))
	}
	if err != nil {
		return nil, fmt.Errorf("queue: %w", err)
	}
	partitions := partitionsOf(found[JobsStream].CachedInfo().Config.SubjectTransform)
	if partitions != o.Partitions {
		o.Logger.Warn("the stream has another number of partitions than configured; the stream's is used",
			"stream", JobsStream, "partitions", partitions, "configured", o.Partitions)
	}
	o.Partitions = partitions
	q := &Queue{
		nc: nc, js: js, opts: o, log: o.Logger, wanted: streams(o, nc.MaxPayload()), partitions: partitions, streams: found,
		quotaSet: make(chan struct{}, 1),
		counts: map[Lane]*subjectCounts{
			Interactive: {stream: JobsStream, subjects: partPrefix + ">"},
			Bulk:        {stream: CampaignsStream, subjects: campaignsPrefix + ">"},
		},
	}
	q.counts[Bulk].terms = newTermsBook(q)
	q.settler = newSettler(q)
	q.records = newRecords(q.settler)
	q.progress = newProgressLog(found[ProgressStream], q.records, q.tenureOver)
	q.endings = &endings{settled: newSettledLog(found[ResultsStream]), progress: q.progress, reading: make(chan struct{}, 1)}
	q.looking = make(chan struct{}, 1)
	q.doubt = &doubt{nc: nc, reconnects: nc.Stats().Reconnects}
	return q, nil
}

func newJetStream(nc *nats.Conn) (jetstream.JetStream, error) {
	return jetstream.New(nc,
		jetstream.WithDefaultTimeout(apiTimeout),
		// An acknowledgement may be lost with its server; then the message is published again.
		jetstream.WithPublishAsyncTimeout(tryTimeout),
		// The settler counts what is on its way; the library's own limit would fail instead of wait.
		jetstream.WithPublishAsyncMaxPending(1<<20))
}

// Partitions is how many partitions INVITES has. An existing stream's number
// wins over Options.Partitions.
func (q *Queue) Partitions() int { return q.partitions }

// Close waits for endings and progress that are on their way, then ends the
// queue's goroutines. Call it once, after Consume has returned, and with the
// contexts given to Settle and SaveProgress bounded: it waits for them. No
// method may be called after it.
func (q *Queue) Close() {
	q.settler.close()
	q.js.CleanupPublisher()
}

// Check says whether the connection and all streams are there.
func (q *Queue) Check(ctx context.Context) error {
	if status := q.nc.Status(); status != nats.CONNECTED {
		return fmt.Errorf("NATS is %s", status)
	}
	for name, stream := range q.streams {
		if _, err := stream.Info(ctx); err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
	}
	return nil
}

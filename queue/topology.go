package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The streams.
const (
	JobsStream      = "INVITES"          // interactive jobs
	CampaignsStream = "INVITE_CAMPAIGNS" // bulk jobs
	DeadStream      = "INVITE_DEAD"      // dead letters
	ResultsStream   = "INVITE_RESULTS"   // how jobs ended
	ProgressStream  = "INVITE_PROGRESS"  // internal: what ended of jobs that have not ended
	KeysStream      = "INVITE_KEYS"      // internal: the calls and blocks of each sender and title
	WorkersStream   = "INVITE_WORKERS"   // internal: who is there, and who owns which partition
	ControlStream   = "INVITE_CONTROL"   // internal: what is wanted of each campaign, and what became of it
)

const (
	dedupeWindow = 10 * time.Minute
	deadKept     = 30 * 24 * time.Hour
	resultsKept  = 24 * time.Hour

	// headerRoom is kept free in the work queues' largest message, so that the
	// dead letter of any job fits into the server's largest one.
	headerRoom = 8 << 10

	defaultPartitions = 16
	maxPartitions     = 512
	maxCampaigns      = 20_000
)

// streams is what the contract says about each stream.
func streams(o Options, maxPayload int64) []jetstream.StreamConfig {
	stream := func(name, description, subjects string) jetstream.StreamConfig {
		return jetstream.StreamConfig{
			Name: name, Description: description, Subjects: []string{subjects},
			Storage: jetstream.FileStorage, Replicas: o.Replicas, Duplicates: dedupeWindow,
			// What is read must be what is true: a replica that lags would answer a direct get from the past.
			AllowDirect: false, AllowAtomicPublish: true,
		}
	}
	work := func(name, description, subjects string) jetstream.StreamConfig {
		s := stream(name, description, subjects)
		s.Retention = jetstream.WorkQueuePolicy
		s.Discard = jetstream.DiscardNew // a full queue refuses; it never drops an older job
		s.MaxMsgSize = int32(max(maxPayload-headerRoom, headerRoom))
		return s
	}
	jobs := work(JobsStream, "invited: interactive jobs", "invites.jobs.*.*")
	jobs.SubjectTransform = partitionTransform(o.Partitions)
	campaigns := work(CampaignsStream, "invited: bulk jobs, by campaign", "invites.campaigns.*.*.*")
	campaigns.MaxConsumers = maxCampaigns // a consumer each; a server's own default is 1,000

	dead := stream(DeadStream, "invited: what was not sent, and why", "invites.dead.*.*")
	dead.MaxAge = deadKept
	results := stream(ResultsStream, "invited: how jobs ended", "invites.results.*.*.*")
	results.MaxAge = resultsKept
	progress := stream(ProgressStream, "invited: internal, what ended of jobs that go on", "invites.progress.>")
	progress.MaxMsgsPerSubject = 1
	keys := stream(KeysStream, "invited: internal, calls and blocks of each sender and title", "invites.keys.*.*.*")
	keys.MaxMsgsPerSubject, keys.AllowMsgTTL = 1, true // each record says how long it matters
	workers := stream(WorkersStream, "invited: internal, which workers there are and who owns which partition", workersPrefix+">")
	workers.MaxMsgsPerSubject = 1
	control := stream(ControlStream, "invited: internal, what is wanted of each campaign and what became of it", controlPrefix+">")
	control.MaxMsgsPerSubject = 1
	return []jetstream.StreamConfig{jobs, campaigns, dead, results, progress, keys, workers, control}
}

// partitionTransform stores a job under a partition that follows from its title
// and sender, so that one worker has all interactive jobs of a key.
func partitionTransform(n int) *jetstream.SubjectTransformConfig {
	return &jetstream.SubjectTransformConfig{
		Source:      "invites.jobs.*.*",
		Destination: fmt.Sprintf(transformForm, n),
	}
}

const transformForm = "invites.part.{{partition(%d,1,2)}}.{{wildcard(1)}}.{{wildcard(2)}}"

// partitionsOf reads the number of partitions from a stream's transform. It is
// 0 where the transform is another one.
func partitionsOf(t *jetstream.SubjectTransformConfig) int {
	if t == nil {
		return 0
	}
	var n int
	if _, err := fmt.Sscanf(t.Destination, transformForm, &n); err != nil || n < 1 {
		return 0
	}
	if *partitionTransform(n) != *t {
		return 0
	}
	return n
}

// ErrServerTooOld means that the server lacks what the queue is built on.
var ErrServerTooOld = errors.New("NATS server 2.12 or later is needed")

func checkServer(nc *nats.Conn) error {
	var major, minor int
	version := nc.ConnectedServerVersion()
	if version == "" {
		return nil // not connected now: the next call says so
	}
	if _, err := fmt.Sscanf(version, "%d.%d.", &major, &minor); err != nil {
		return nil //nolint:nilerr // a version of another form is a build of its own
	}
	if major < 2 || major == 2 && minor < 12 {
		return fmt.Errorf("%w; this one is %s", ErrServerTooOld, version)
	}
	return nil
}

// createStreams makes sure that every stream is there and fits.
func createStreams(
	ctx context.Context, js jetstream.JetStream, wanted []jetstream.StreamConfig,
) (map[string]jetstream.Stream, error) {
	var differ []error
	all := make(map[string]jetstream.Stream, len(wanted))
	for _, want := range wanted {
		found, err := ensureStream(ctx, js, want)
		if err != nil {
			return nil, err
		}
		differ = append(differ, differences(found.CachedInfo().Config, want)...)
		all[want.Name] = found
	}
	return all, errors.Join(differ...)
}

// ensureStream returns the stream, created if it was missing. Another worker may create it at the same time: then that one is it.
func ensureStream(ctx context.Context, js jetstream.JetStream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := js.Stream(ctx, want.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		s, err = js.CreateStream(ctx, want)
		if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
			s, err = js.Stream(ctx, want.Name)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("stream %s (subjects %s): %w", want.Name, want.Subjects[0], explain(err))
	}
	return s, nil
}

// explain adds the way out to errors that operators meet.
func explain(err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("%w: enable JetStream on the NATS server and for this account", err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w: the NATS server has no JetStream, or none that is ready", err)
	case errors.As(err, &api) && api.ErrorCode == codeSubjectsOverlap:
		return fmt.Errorf("%w: find the other stream with `nats stream ls --subject=\"invites.>\"` and take the subjects from it", err)
	case errors.Is(err, nats.ErrReconnectBufExceeded): // nothing is kept for later while there is no connection
		return fmt.Errorf("%w: there is no connection to NATS", err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fmt.Errorf("%w: no answer; is the server reachable, and may this user call $JS.API?", err)
	default:
		return err
	}
}

// codeSubjectsOverlap is the server's error for a subject that another stream has.
const codeSubjectsOverlap = 10065

package queue

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// LoadProgress returns the job's stored progress, and whether there is any.
func (q *Queue) LoadProgress(ctx context.Context, d *Delivery) (Progress, bool, error) {
	data, _, err := q.progress.get(ctx, d.progressSubject())
	if err != nil || data == nil {
		return Progress{}, false, err
	}
	p, err := decodeProgress(d, data)
	if errors.Is(err, errOtherJob) {
		return Progress{}, false, nil
	}
	return p, err == nil, err
}

// LearnEndings reads what has ended.
// WorkerName is what this worker is called among the others; empty: it consumes nothing.
func (q *Queue) WorkerName() string {
	if m := q.members.Load(); m != nil {
		return m.me
	}
	return ""
}

func (q *Queue) LearnEndings(ctx context.Context) error { return q.endings.learn(ctx) }

// ResultMessage is what Settle stores of how a job ended.
func ResultMessage(d *Delivery, e Ending) *nats.Msg { return resultMessage(d, e) }

// SetBatch makes batches so small that an upload of a few jobs has several.
func (o *Organizer) SetBatch(jobs int) { o.batch = jobs }

// ForgetCampaigns does what a worker does now and then, with records that are kept so long: two days are too many for a test.
func (q *Queue) ForgetCampaigns(ctx context.Context, kept time.Duration) error {
	q.opts.KeepCampaigns = kept
	return q.forgetCampaigns(ctx)
}

// TermsBook is what a worker knows of campaigns' terms.
func (q *Queue) TermsBook() *TermsBook { return &TermsBook{newTermsBook(q)} }

// TermsBook is a worker's.
type TermsBook struct{ book *termsBook }

// Update brings it up to date.
func (b *TermsBook) Update(ctx context.Context) error { return b.book.update(ctx) }

// Cancelled says whether a campaign is cancelled as far as it knows.
func (b *TermsBook) Cancelled(a Address) bool { return b.book.at(a.Subject(), time.Now()).cancelled }

// Interpose has before called ahead of each read of a stream, with what is read.
func (o *Organizer) Interpose(before func(stream, read string)) { interpose(o.streams, before) }

// Interpose is for a queue that does nothing yet.
func (q *Queue) Interpose(before func(stream, read string)) { interpose(q.streams, before) }

func interpose(streams map[string]jetstream.Stream, before func(stream, read string)) {
	for name, s := range streams {
		streams[name] = interposed{s, func(read string) { before(name, read) }}
	}
}

// interposed is a stream that somebody does something to between two reads.
type interposed struct {
	jetstream.Stream
	before func(read string)
}

func (s interposed) Info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	s.before("info")
	return s.Stream.Info(context.WithoutCancel(ctx), opts...)
}

func (s interposed) GetMsg(ctx context.Context, sequence uint64, opts ...jetstream.GetMsgOpt) (*jetstream.RawStreamMsg, error) {
	s.before("message")
	return s.Stream.GetMsg(context.WithoutCancel(ctx), sequence, opts...)
}

func (s interposed) GetLastMsgForSubject(ctx context.Context, subject string) (*jetstream.RawStreamMsg, error) {
	s.before("record")
	return s.Stream.GetLastMsgForSubject(context.WithoutCancel(ctx), subject)
}

func (s interposed) DeleteMsg(ctx context.Context, sequence uint64) error {
	s.before("removal")
	return s.Stream.DeleteMsg(context.WithoutCancel(ctx), sequence)
}

func (s interposed) CreateConsumer(ctx context.Context, cfg jetstream.ConsumerConfig) (jetstream.Consumer, error) {
	s.before("consumer")
	return s.Stream.CreateConsumer(context.WithoutCancel(ctx), cfg)
}

func (s interposed) Consumer(ctx context.Context, name string) (jetstream.Consumer, error) {
	s.before("look at a consumer")
	return s.Stream.Consumer(ctx, name)
}

// Looks looks at a campaign after each step, and returns how many results and jobs are remembered then.
func (o *Organizer) Looks(ctx context.Context, a Address, steps ...func()) (kept []int, err error) {
	var summed *sums
	for _, step := range steps {
		step()
		if _, summed, err = o.look(ctx, a, summed); err != nil {
			return nil, err
		}
		kept = append(kept, len(summed.seen)+len(summed.Ended))
	}
	return kept, nil
}

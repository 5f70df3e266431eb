package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Filter selects dead letters or results. Its zero value selects all.
type Filter struct {
	TitleID  *uint32   // 0 is a title too: of what has no readable one
	Reason   Reason    // of dead letters; of results: the result's Reason
	Campaign string    // empty: any or none
	Since    time.Time // stored at or after it
}

// Reader reads what workers wrote. It creates no stream, so that producers and
// operators can use it. It is safe for concurrent use.
type Reader struct {
	nc *nats.Conn
	js jetstream.JetStream

	streams sync.Map // by name: handles, looked up once
}

// NewReader returns a reader on nc, which stays the caller's.
func NewReader(nc *nats.Conn) (*Reader, error) {
	js, err := newJetStream(nc)
	if err != nil {
		return nil, err
	}
	return &Reader{nc: nc, js: js}, nil
}

// DeadLetters yields the dead letters that are stored when it begins, oldest
// first. An error is its last item.
func (r *Reader) DeadLetters(ctx context.Context, f Filter) iter.Seq2[DeadLetter, error] {
	subject := deadPrefix + titleToken(f.TitleID) + "." + or(string(f.Reason), "*")
	return read(ctx, r.js, DeadStream, subject, f.Since, func(m jetstream.Msg) (DeadLetter, bool, error) {
		letter, err := parseLetter(m)
		return letter, f.Campaign == "" || letter.Address.Campaign == f.Campaign, err
	})
}

// Results yields the results that are stored when it begins, oldest first. An
// error is its last item.
func (r *Reader) Results(ctx context.Context, f Filter) iter.Seq2[Result, error] {
	subject := resultsPrefix + titleToken(f.TitleID) + ".*." + or(f.Campaign, "*")
	return read(ctx, r.js, ResultsStream, subject, f.Since, func(m jetstream.Msg) (Result, bool, error) {
		result, err := parseResult(&nats.Msg{Data: m.Data(), Header: m.Headers()})
		return result, f.Reason == "" || result.Reason == f.Reason, err
	})
}

func titleToken(title *uint32) string {
	if title == nil {
		return "*"
	}
	return strconv.FormatUint(uint64(*title), 10)
}

// read yields what parse accepts of a stream's messages.
func read[T any](
	ctx context.Context, js jetstream.JetStream, stream, subject string, since time.Time,
	parse func(jetstream.Msg) (T, bool, error),
) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		cfg := jetstream.ConsumerConfig{FilterSubject: subject}
		if !since.IsZero() {
			cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
		}
		stopped := errors.New("stopped")
		s, err := js.Stream(ctx, stream)
		switch {
		case errors.Is(err, jetstream.ErrStreamNotFound):
			err = ErrNoQueue
		case err == nil:
			err = readAll(ctx, s, cfg, func(m jetstream.Msg) error {
				item, ok, err := parse(m)
				if err != nil {
					return fmt.Errorf("message on %s: %w", m.Subject(), err)
				}
				if ok && !yield(item, nil) {
					return stopped
				}
				return nil
			})
		}
		if err != nil && err != stopped { //nolint:errorlint // it is this very one, never wrapped
			var zero T
			yield(zero, fmt.Errorf("reading %s: %w", stream, explain(err)))
		}
	}
}

// WatchResults subscribes to the results of jobs at the addresses, or of all
// jobs if there are none, from now on: subscribe first, then publish, then wait.
// It is a plain subscription, so a producer needs permission to subscribe to
// invites.results.>, and no other. A result that is stored again after a lost
// acknowledgement can come twice; one that comes while the connection is down
// is missed, but stays in INVITE_RESULTS.
func (r *Reader) WatchResults(ctx context.Context, addresses ...Address) (*Watch, error) {
	subjects := make([]string, len(addresses))
	for i, a := range addresses {
		if err := a.Validate(); err != nil {
			return nil, err
		}
		subjects[i] = resultSubject(a)
	}
	subject := resultsPrefix + ">"
	if len(subjects) == 1 {
		subject = subjects[0]
	}
	sub, err := r.nc.SubscribeSync(subject)
	if err != nil {
		return nil, fmt.Errorf("watching %s: %w", subject, err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := r.nc.FlushWithContext(ctx); err != nil { // then the server knows of it
		_ = sub.Unsubscribe()
		return nil, fmt.Errorf("watching %s: %w", subject, err)
	}
	return &Watch{sub, subjects}, nil
}

// Watch is a running subscription to results. It is safe for concurrent use.
type Watch struct {
	sub      *nats.Subscription
	subjects []string // empty: all
}

// Next waits for the next result. After Stop it is an error.
func (w *Watch) Next(ctx context.Context) (Result, error) {
	for {
		m, err := w.sub.NextMsgWithContext(ctx)
		if err != nil {
			return Result{}, fmt.Errorf("watching %s: %w", w.sub.Subject, err)
		}
		if len(w.subjects) > 1 && !slices.Contains(w.subjects, m.Subject) {
			continue
		}
		r, err := parseResult(m)
		if err != nil {
			return Result{}, fmt.Errorf("result on %s: %w", m.Subject, err)
		}
		return r, nil
	}
}

// Stop ends the subscription.
func (w *Watch) Stop() { _ = w.sub.Unsubscribe() }

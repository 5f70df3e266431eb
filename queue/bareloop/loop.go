package bareloop

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream  = "BARE"
	subject = "bare.jobs"
	results = "BARE_RESULTS" // and their subject
	// What one request asks for, and what may be unacknowledged: more of either made it no faster.
	batch, window = 500, 10_000
)

// Loop is one work queue.
type Loop struct {
	// Telling stores a result for each job, and acknowledges the job when that is stored: what anybody does who has to say how jobs end.
	Telling bool

	js jetstream.JetStream
}

// New makes the queue, without jobs, in place of one that was there before.
func New(ctx context.Context, conn *nats.Conn) (*Loop, error) {
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		return nil, err
	}
	for _, cfg := range []jetstream.StreamConfig{
		{Name: stream, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy},
		{Name: results, Subjects: []string{results}},
	} {
		_ = js.DeleteStream(ctx, cfg.Name) // mostly there is none
		if _, err := js.CreateStream(ctx, cfg); err != nil {
			return nil, err
		}
	}
	return &Loop{js: js}, nil
}

// Fill stores jobs.
func (l *Loop) Fill(ctx context.Context, jobs int, body func() []byte) error {
	for i := range jobs {
		if i%window == 0 { // else the client refuses more, when the server is slow
			<-l.js.PublishAsyncComplete()
		}
		if _, err := l.js.PublishAsync(subject, body()); err != nil {
			return err
		}
	}
	select {
	case <-l.js.PublishAsyncComplete():
	case <-ctx.Done():
		return ctx.Err()
	}
	s, err := l.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	if stored := int(s.CachedInfo().State.Msgs); stored != jobs {
		return fmt.Errorf("%d of %d jobs are stored", stored, jobs)
	}
	return nil
}

// Publish stores one job.
func (l *Loop) Publish(ctx context.Context, body []byte) error {
	_, err := l.js.Publish(ctx, subject, body)
	return err
}

// Run hands all jobs over, to so many goroutines at once, and acknowledges each that was handled. It returns when ctx ends, and
// removes the queue.
func (l *Loop) Run(ctx context.Context, goroutines int, handle func(body []byte) error) error {
	consumer, err := l.js.CreateConsumer(ctx, stream, jetstream.ConsumerConfig{
		Durable: "loop", AckPolicy: jetstream.AckExplicitPolicy, AckWait: time.Minute, MaxAckPending: window, MemoryStorage: true,
	})
	if err != nil {
		return err
	}
	jobs, told := make(chan jetstream.Msg, batch), make(chan tell, window)
	failed := make(chan error, goroutines)
	var handling, telling sync.WaitGroup
	var untold error
	telling.Go(func() { untold = acknowledge(told) })
	for range goroutines {
		handling.Go(func() {
			for m := range jobs {
				err := handle(m.Data())
				if err == nil {
					err = l.end(m, told)
				}
				if err != nil {
					failed <- err
					return
				}
			}
		})
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		select {
		case jobs <- m:
		case <-ctx.Done():
		}
	}, jetstream.PullMaxMessages(batch))
	if err != nil {
		return err
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	consuming.Stop()
	<-consuming.Closed()
	close(jobs)
	handling.Wait()
	close(told)
	telling.Wait()
	err = cmp.Or(err, untold)
	for _, name := range []string{stream, results} {
		if err == nil {
			err = l.js.DeleteStream(context.WithoutCancel(ctx), name)
		}
	}
	return err
}

// tell is a job whose result is on its way.
type tell struct {
	job    jetstream.Msg
	stored jetstream.PubAckFuture
}

func (l *Loop) end(m jetstream.Msg, told chan<- tell) error {
	if !l.Telling {
		return m.Ack()
	}
	meta, err := m.Metadata()
	if err != nil {
		return err
	}
	id := nats.Header{nats.MsgIdHdr: {strconv.FormatUint(meta.Sequence.Stream, 10)}}
	stored, err := l.js.PublishMsgAsync(&nats.Msg{Subject: results, Header: id, Data: m.Data()})
	if err == nil {
		told <- tell{m, stored}
	}
	return err
}

// acknowledge acknowledges each job when its result is stored, and takes all of them even when one is not.
func acknowledge(told <-chan tell) (first error) {
	for t := range told {
		select {
		case <-t.stored.Ok():
			_ = t.job.Ack()
		case err := <-t.stored.Err():
			first = cmp.Or(first, err)
		}
	}
	return first
}

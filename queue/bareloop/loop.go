package bareloop

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	stream  = "BARE"
	subject = "bare.jobs"
	// What one request asks for, and what may be unacknowledged: more of either made it no faster.
	batch, window = 500, 10_000
)

// Loop is one work queue.
type Loop struct {
	js jetstream.JetStream
}

// New makes the queue, without jobs, in place of one that was there before.
func New(ctx context.Context, conn *nats.Conn) (*Loop, error) {
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncMaxPending(window))
	if err != nil {
		return nil, err
	}
	_ = js.DeleteStream(ctx, stream) // mostly there is none
	cfg := jetstream.StreamConfig{Name: stream, Subjects: []string{subject}, Retention: jetstream.WorkQueuePolicy}
	if _, err := js.CreateStream(ctx, cfg); err != nil {
		return nil, err
	}
	return &Loop{js}, nil
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
	jobs := make(chan jetstream.Msg, batch)
	failed := make(chan error, goroutines)
	var handling sync.WaitGroup
	for range goroutines {
		handling.Go(func() {
			for m := range jobs {
				if err := handle(m.Data()); err != nil {
					failed <- err
					return
				}
				_ = m.Ack()
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
	if err == nil {
		err = l.js.DeleteStream(context.WithoutCancel(ctx), stream)
	}
	return err
}

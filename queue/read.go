package queue

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	readBatch = 2048 // one round trip each: a slow link must not make it minutes
	readWait  = 2 * time.Second
)

// readAll hands over the messages that match when it begins, oldest first, and
// ends early at the first error of each. cfg says which: its filter and where to
// begin. The consumer that reads is deleted at the end, or by the server.
func readAll(ctx context.Context, s jetstream.Stream, cfg jetstream.ConsumerConfig, each func(jetstream.Msg) error) error {
	cfg.AckPolicy = jetstream.AckNonePolicy
	cfg.MemoryStorage = true
	cfg.InactiveThreshold = 10 * time.Minute // a batch may be worked off slowly, as by a replay
	reader, err := s.CreateConsumer(ctx, cfg)
	if err != nil {
		return explain(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readWait)
		defer cancel()
		_ = s.DeleteConsumer(ctx, reader.CachedInfo().Name) // else the server does, after a minute
	}()
	for left := reader.CachedInfo().NumPending; left > 0; {
		n, end, err := readSome(ctx, reader, int(min(left, readBatch)), each)
		if err != nil || end {
			return err
		}
		left -= uint64(n)
		if n > 0 {
			continue
		}
		// Some may have been removed since they were counted.
		info, err := reader.Info(ctx)
		if err != nil {
			return explain(err)
		}
		left = min(left, info.NumPending)
	}
	return nil
}

// readSome returns how many messages it read, and whether they were the last.
func readSome(ctx context.Context, reader jetstream.Consumer, n int, each func(jetstream.Msg) error) (read int, end bool, err error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	batch, err := reader.Fetch(n, jetstream.FetchMaxWait(readWait))
	if err != nil {
		return 0, false, err
	}
	for m := range batch.Messages() {
		read++
		if err == nil {
			err = each(m) // after an error the rest is only taken out of the channel
		}
		if meta, metaErr := m.Metadata(); metaErr == nil && meta.NumPending == 0 {
			end = true
		}
	}
	if err == nil && ctx.Err() == nil && !errors.Is(batch.Error(), context.DeadlineExceeded) {
		err = batch.Error()
	}
	return read, end, err
}

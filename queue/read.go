package queue

import (
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
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

// getMsg reads the first message of a stream from a sequence on, or, with a subject, the first of that. Headers that can't be read
// are none, as in what is delivered: a producer may have sent anything, and the library would refuse the message for ever.
func getMsg(
	ctx context.Context, js jetstream.JetStream, s jetstream.Stream, sequence uint64, subject string,
) (*jetstream.RawStreamMsg, error) {
	var opts []jetstream.GetMsgOpt
	if subject != "" {
		opts = append(opts, jetstream.WithGetMsgSubject(subject))
	}
	m, err := s.GetMsg(ctx, sequence, opts...)
	if !errors.Is(err, nats.ErrBadHeaderMsg) {
		return m, err
	}
	request, err := json.Marshal(struct {
		Sequence uint64 `json:"seq"`
		Subject  string `json:"next_by_subj,omitempty"`
	}{sequence, subject})
	if err != nil {
		return nil, err
	}
	answer, err := js.Conn().RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.MSG.GET."+s.CachedInfo().Config.Name, request)
	if err != nil {
		return nil, err
	}
	var found struct {
		Error   *jetstream.APIError `json:"error"`
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := json.Unmarshal(answer.Data, &found); err != nil {
		return nil, err
	}
	if found.Error != nil {
		return nil, found.Error
	}
	return &jetstream.RawStreamMsg{
		Subject: found.Message.Subject, Sequence: found.Message.Sequence, Data: found.Message.Data, Time: found.Message.Time,
	}, nil
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

package queue

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// sweepEvery is how long a record of progress may outlive its job.
const sweepEvery = 10 * time.Minute

// sweep removes records of progress whose message is gone. There are few: those
// that a worker which had been cut off stored after the job's next owner had
// ended it, and what was left of jobs that were purged.
func (q *Queue) sweep(ctx context.Context) error {
	progress := q.streams[ProgressStream]
	type record struct {
		subject  string
		sequence uint64
	}
	var records []record
	cfg := jetstream.ConsumerConfig{FilterSubject: progressPrefix + ">", HeadersOnly: true}
	err := readAll(ctx, progress, cfg, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err == nil {
			records = append(records, record{m.Subject(), meta.Sequence.Stream})
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, r := range records {
		over, err := q.isOver(ctx, r.subject)
		if err == nil && over {
			err = progress.Purge(ctx, jetstream.WithPurgeSubject(r.subject), jetstream.WithPurgeSequence(r.sequence+1))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isOver says whether the message that a record is of is not in its stream any more.
func (q *Queue) isOver(ctx context.Context, subject string) (bool, error) {
	tokens := strings.Split(strings.TrimPrefix(subject, progressPrefix), ".")
	sequence, err := strconv.ParseUint(tokens[len(tokens)-1], 10, 64)
	stream := q.streams[tokens[0]]
	if err != nil || stream == nil {
		return true, nil //nolint:nilerr // it is a record of nothing
	}
	_, err = getMsg(ctx, q.js, stream, sequence, "")
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return true, nil
	}
	return false, err
}

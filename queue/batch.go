package queue

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// maxBatch is how many messages the server takes at most as one batch.
const maxBatch = 1000

// The headers of an atomic batch (ADR-50 of NATS).
const (
	headerBatch         = "Nats-Batch-Id"
	headerBatchSequence = "Nats-Batch-Sequence"
	headerBatchCommit   = "Nats-Batch-Commit"
)

// The server's error codes for a batch. In none of these cases anything was stored.
const (
	codeBatchDisabled   = 10174
	codeBatchIncomplete = 10176 // one of its messages did not arrive, or was refused
	codeBatchDuplicate  = 10201 // a message with the ID of one of its messages is stored
	codeBatchesTooMany  = 10210
)

// publishBatch stores all messages of one stream, or none, and returns the
// sequence of the last. When it is not known whether they were stored, the error
// is no *jetstream.APIError.
func publishBatch(ctx context.Context, nc *nats.Conn, batch []*nats.Msg) (last uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	id := rand.Text()
	for i, m := range batch {
		m.Header[headerBatch] = []string{id}
		m.Header[headerBatchSequence] = []string{strconv.Itoa(i + 1)}
	}
	commit := batch[len(batch)-1]
	commit.Header[headerBatchCommit] = []string{"1"}
	for _, m := range batch[:len(batch)-1] {
		if err := nc.PublishMsg(m); err != nil {
			return 0, err
		}
	}
	answer, err := nc.RequestMsgWithContext(ctx, commit)
	if err != nil {
		return 0, err
	}
	var ack struct {
		Sequence uint64              `json:"seq"`
		Count    int                 `json:"count"`
		Error    *jetstream.APIError `json:"error"`
	}
	switch err := json.Unmarshal(answer.Data, &ack); {
	case err != nil:
		return 0, fmt.Errorf("the answer to a batch can't be read: %w", err)
	case ack.Error != nil:
		return 0, ack.Error
	case ack.Count != len(batch):
		return 0, fmt.Errorf("of a batch of %d messages the server has stored %d", len(batch), ack.Count)
	}
	return ack.Sequence, nil
}

package queue

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// DeadLetter is a job with the recipients that were not sent, or the raw body
// of what was no job, and why. Publishing Body on Subject is a replay.
type DeadLetter struct {
	Sequence    uint64 // in INVITE_DEAD
	StoredAt    time.Time
	Address     Address // of Subject, as far as it can be read
	Reason      Reason
	Detail      string
	Status      int // the API's HTTP status; 0: none
	ErrorCode   string
	Attempts    int
	JobID       string
	Subject     string
	PublishedAt time.Time // the job
	DeadAt      time.Time
	Traceparent string
	Body        []byte
}

// parseLetter is lenient with headers: a letter that someone else wrote, or that
// lost its detail for want of room, is shown with what it has.
func parseLetter(m jetstream.Msg) (DeadLetter, error) {
	meta, err := m.Metadata()
	if err != nil {
		return DeadLetter{}, err
	}
	h := m.Headers()
	l := DeadLetter{
		Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp,
		Reason: Reason(h.Get(headerReason)), Detail: h.Get(headerDetail), ErrorCode: h.Get(headerErrorCode),
		JobID: h.Get(headerJobID), Subject: h.Get(headerSubject),
		Status: number(h, headerStatus), Attempts: number(h, headerAttempts),
		PublishedAt: moment(h, headerPublishedAt), DeadAt: moment(h, headerDeadAt),
		Traceparent: traceparentOf(h), Body: m.Data(),
	}
	l.Address, _ = ParseSubject(l.Subject)
	return l, nil
}

func number(h nats.Header, name string) int {
	n, err := strconv.Atoi(h.Get(name))
	if err != nil {
		return 0
	}
	return n
}

func moment(h nats.Header, name string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, h.Get(name))
	if err != nil {
		return time.Time{}
	}
	return t
}

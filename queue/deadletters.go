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

func parseLetter(m jetstream.Msg) (DeadLetter, error) {
	meta, err := m.Metadata()
	if err != nil {
		return DeadLetter{}, err
	}
	l := letterOf(m.Headers(), m.Data())
	l.Sequence, l.StoredAt = meta.Sequence.Stream, meta.Timestamp
	return l, nil
}

// letterOf is lenient with headers: a letter that someone else wrote, or that
// lost its detail for want of room, is shown with what it has. Its texts are fit
// to be shown, and to be written again: one line of valid UTF-8.
func letterOf(h nats.Header, body []byte) DeadLetter {
	text := func(name string) string { return printable(h.Get(name)) }
	l := DeadLetter{
		Reason: Reason(text(headerReason)), Detail: text(headerDetail), ErrorCode: text(headerErrorCode),
		JobID: text(headerJobID), Subject: text(headerSubject),
		Status: number(h, headerStatus), Attempts: number(h, headerAttempts),
		PublishedAt: moment(h, headerPublishedAt), DeadAt: moment(h, headerDeadAt),
		Traceparent: traceparentOf(h), Body: body,
	}
	l.Address, _ = ParseSubject(l.Subject)
	return l
}

// number is 0 for what is no number, or below it.
func number(h nats.Header, name string) int {
	n, err := strconv.Atoi(h.Get(name))
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// moment is the zero time for what is no time.
func moment(h nats.Header, name string) time.Time {
	t, _ := parseTime(h.Get(name))
	return t
}

package queue

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Delivery is one message of a work queue, leased to this worker until its
// AckWait ends, or until Settle, Release or Ack. Its fields are read-only; its
// methods are safe for concurrent use.
type Delivery struct {
	Address     Address // as far as the subject could be read
	Lane        Lane
	Job         Job       // zero where Invalid is set by the body
	Invalid     error     // why it is no job: a *JobError or an *AddressError; nil for a job
	Progress    *Progress // what ended of it in an earlier delivery; nil: nothing
	Stream      string
	Sequence    uint64
	PublishedAt time.Time // when the stream stored it, by the server's clock
	Published   time.Time // the same by this worker's clock
	Expires     time.Time // Job.ExpiresAt by this worker's clock; zero: not set
	Redelivered bool      // the server delivered it before; false is no proof that it did not
	MaybeSent   bool      // an owner that is gone had it in hand, or may have had: it may have been sent
	Partition   int       // of its key
	Cancelled   bool      // its campaign is: what is unsent of the job is to be dropped
	Rate        float64   // of its campaign, in recipients per second at most; 0: no such limit
	Traceparent string    // as the producer sent it; empty: none

	lease   lease
	over    func() bool // see source.over; nil: it came from no source
	claimed time.Time   // when its partition was, by the server's clock; zero: it came from no source
	raw     []byte      // the body where it is no job
	replay  string      // which dead letter it was; empty: none
	subject string
	id      string
}

// message is what a delivery is made of, whether it was delivered or fetched.
type message struct {
	subject   string // that it is stored under
	header    nats.Header
	data      []byte
	stream    string
	sequence  uint64
	stored    time.Time
	delivered uint64 // how often
	lease     lease
}

// messageOf reads what was delivered; an error says that it did not come from a stream.
func messageOf(nc *nats.Conn, m jetstream.Msg) (message, error) {
	meta, err := m.Metadata()
	if err != nil {
		return message{}, err
	}
	return message{
		subject: m.Subject(), header: m.Headers(), data: m.Data(), stream: meta.Stream, sequence: meta.Sequence.Stream,
		stored: meta.Timestamp, delivered: meta.NumDelivered, lease: lease{nc: nc, reply: m.Reply(), sequence: meta.Sequence.Stream},
	}, nil
}

// newDelivery reads a message. A message that is no job is a delivery too.
func newDelivery(m message) *Delivery {
	d := &Delivery{
		Lane:        laneOf(m.stream),
		Stream:      m.stream,
		Sequence:    m.sequence,
		PublishedAt: m.stored,
		Redelivered: m.delivered > 1,
		Traceparent: traceparentOf(m.header),
		lease:       m.lease,
		subject:     published(m.subject),
		replay:      printable(m.header.Get(headerReplay)),
	}
	d.Job, d.Invalid = DecodeJob(m.data)
	d.id = d.Job.ID
	if d.Invalid != nil {
		d.id = LooseID(m.data)
	}
	if d.id == "" {
		d.id = d.key().reference()
	}
	var unreadable error
	if d.Address, unreadable = ParseSubject(d.subject); unreadable != nil {
		d.Invalid = unreadable
	}
	if d.Invalid != nil {
		d.raw = m.data
	}
	return d
}

func laneOf(stream string) Lane {
	if stream == CampaignsStream {
		return Bulk
	}
	return Interactive
}

// ID is what results and dead letters call the job: its own id if it has a
// readable one, else "<stream>:<sequence>".
func (d *Delivery) ID() string { return d.id }

// Subject is where the producer published the job.
func (d *Delivery) Subject() string { return d.subject }

// Extend renews the lease. Call it well within Options.AckWait. An error means
// that the renewal was not sent: the lease may run out, and the job come again.
func (d *Delivery) Extend() error { return d.lease.extend() }

// Release gives the job back, to be delivered again after delay, to whoever
// consumes then. 0 means at once.
func (d *Delivery) Release(delay time.Duration) error { return d.lease.release(delay) }

// Ack removes the job from its queue. It is for a delivery whose ending is
// already stored: Settle acknowledges by itself.
func (d *Delivery) Ack() error { return d.lease.ack() }

func (d *Delivery) key() messageKey {
	return messageKey{d.Stream, d.Sequence, d.PublishedAt.UnixNano()}
}

// messageKey names a message for good. The time is part of it because a stream
// that was deleted and made anew counts from 1 again.
type messageKey struct {
	stream    string
	sequence  uint64
	published int64 // Unix time in nanoseconds
}

// reference is "<stream>:<sequence>".
func (k messageKey) reference() string {
	return string(k.appendReference(make([]byte, 0, 64)))
}

func (k messageKey) appendReference(b []byte) []byte {
	return strconv.AppendUint(append(append(b, k.stream...), ':'), k.sequence, 10)
}

// String is "<stream>:<sequence>:<time>", the base of message IDs.
func (k messageKey) String() string {
	b := append(k.appendReference(make([]byte, 0, 64)), ':')
	return string(strconv.AppendInt(b, k.published, 36))
}

// progressSubject is where the message's progress is stored. Whose it is stands in it, so that who wants to know how a campaign
// gets on reads its jobs' records alone.
func (d *Delivery) progressSubject() string {
	b := make([]byte, 0, 128)
	b = append(append(append(b, progressPrefix...), d.Stream...), '.')
	b = append(appendTokens(b, d.Address), '.')
	return string(strconv.AppendUint(b, d.Sequence, 10))
}

package queue

import (
	"fmt"
	"hash/fnv"
	"strconv"

	"github.com/nats-io/nats.go"
)

// letter makes the dead letter of one of a job's dead. It always fits into
// maxPayload bytes: see fit.
func letter(d *Delivery, dead Dead, e Ending, maxPayload int64) *nats.Msg {
	body := d.raw // what is no job is kept byte for byte
	if d.Invalid == nil {
		job := d.Job
		if len(dead.Recipients) > 0 {
			job.InvitedUsers = dead.Recipients
		}
		body = job.encode()
	}
	h := make(nats.Header, 12)
	setHeader(h, nats.MsgIdHdr, letterID(d, dead))
	setHeader(h, headerReason, printable(string(dead.Reason)))
	setHeader(h, headerSubject, printable(d.Subject()))
	setHeader(h, headerJobID, printable(d.ID()))
	setHeader(h, headerPublishedAt, timeHeader(d.PublishedAt))
	setHeader(h, headerDeadAt, timeHeader(e.EndedAt))
	setHeader(h, headerAttempts, intHeader(e.Attempts))
	if dead.Status != 0 {
		setHeader(h, headerStatus, intHeader(dead.Status))
	}
	setHeader(h, headerErrorCode, cut(printable(dead.ErrorCode), maxDetail))
	setHeader(h, headerDetail, cut(printable(dead.Detail), maxDetail))
	setHeader(h, headerTraceparent, d.Traceparent)
	m := &nats.Msg{Subject: letterSubject(d, dead.Reason), Header: h, Data: body}
	fit(m, maxPayload)
	return m
}

func letterSubject(d *Delivery, r Reason) string {
	return deadPrefix + strconv.FormatUint(uint64(d.Address.TitleID), 10) + "." + string(r)
}

// letterID is the same for the same letter, so that one which is stored again
// after a crash, or by a worker that was cut off, is dropped; and another for
// another, so that none is. The order of recipients does not matter: it follows
// from how the calls went.
func letterID(d *Delivery, dead Dead) string {
	var sum uint64
	var b [20]byte
	for _, x := range dead.Recipients {
		h := fnv.New64a()
		_, _ = h.Write(strconv.AppendUint(b[:0], uint64(x), 10))
		sum += h.Sum64()
	}
	return "dead:" + d.key().String() + ":" + string(dead.Reason) + ":" + strconv.FormatUint(sum, 36)
}

// fit makes room in a letter that the server would refuse. Open's streams leave
// headerRoom in every job, so that only a body that is no job, in a stream that
// an operator made with a larger limit, can get here. What explains goes first;
// where to replay goes last; and a body is cut only if it is too large by itself.
func fit(m *nats.Msg, maxPayload int64) {
	for _, name := range []string{headerDetail, headerErrorCode, headerTraceparent} {
		if size(m) <= maxPayload {
			return
		}
		delete(m.Header, name)
	}
	if over := size(m) - maxPayload; over > 0 {
		whole := len(m.Data)
		const note = 128 // for the header that says so
		m.Data = m.Data[:max(0, int64(whole)-over-note)]
		setHeader(m.Header, headerDetail, fmt.Sprintf("the body of %d bytes was cut to fit", whole))
	}
}

// size is how the server counts: headers in their written form, and the body.
func size(m *nats.Msg) int64 {
	const version, lineEnds = len("NATS/1.0\r\n"), len(": \r\n")
	n := version + len("\r\n") + len(m.Data)
	for name, values := range m.Header {
		for _, v := range values {
			n += len(name) + len(v) + lineEnds
		}
	}
	return int64(n)
}

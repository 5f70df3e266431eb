package queue

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// Headers of messages. A NATS header's name is case-sensitive.
const (
	headerReason      = "Invite-Reason"
	headerDetail      = "Invite-Detail"
	headerStatus      = "Invite-Status"
	headerErrorCode   = "Invite-Error-Code"
	headerAttempts    = "Invite-Attempts"
	headerJobID       = "Invite-Job-Id"
	headerSubject     = "Invite-Subject"
	headerPublishedAt = "Invite-Published-At"
	headerDeadAt      = "Invite-Dead-At"
	headerJob         = "Invite-Job"    // of results: "<stream>:<sequence>"
	headerReplay      = "Invite-Replay" // of a replayed job and its result: which letter it was
	headerTraceparent = "traceparent"
	headerDead        = "Invite-Dead"       // of results with several reasons: "rejected=2,expired=1"
	headerSupersedes  = "Invite-Supersedes" // of a result in place of another: its sequence and counts
)

// maxTraceparent is far above what W3C's form needs, 55 characters.
const maxTraceparent = 256

// traceparentOf reads a producer's trace context, the only header of theirs
// that is passed on. Some clients write header names with a capital.
func traceparentOf(h nats.Header) string {
	v := h.Get(headerTraceparent)
	if v == "" {
		v = h.Get("Traceparent")
	}
	if len(v) > maxTraceparent {
		return ""
	}
	return printable(v)
}

// setHeader leaves out empty values.
func setHeader(h nats.Header, name, value string) {
	if value != "" {
		h[name] = []string{value}
	}
}

func timeHeader(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

func intHeader(n int) string { return strconv.Itoa(n) }

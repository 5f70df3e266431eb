package queue

import (
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
)

// lease is the right to a message, without the message: a job that waits for
// hours keeps what was decoded of it, and not its bytes as well. JetStream
// takes these words on the message's reply subject.
type lease struct {
	nc    *nats.Conn
	reply string
	ended func() // told when the job leaves this worker's hands; nil: nobody

	remove uint64 // the message's sequence, where reply deletes it in the place of an acknowledgement; 0: it was delivered
}

// The words of JetStream's acknowledgements.
const (
	wordAck    = "+ACK"
	wordNak    = "-NAK"
	wordExtend = "+WPI" // work in progress
)

func (l lease) ack() error { return l.end(wordAck) }

func (l lease) extend() error {
	if l.remove != 0 {
		return nil
	}
	return l.nc.Publish(l.reply, []byte(wordExtend))
}

func (l lease) release(delay time.Duration) error {
	word := wordNak
	if delay > 0 {
		word += ` {"delay": ` + strconv.FormatInt(int64(delay), 10) + `}`
	}
	return l.end(word)
}

func (l lease) end(word string) error {
	if l.ended != nil {
		l.ended()
	}
	if l.remove != 0 {
		return l.removed(word)
	}
	return l.nc.Publish(l.reply, []byte(word))
}

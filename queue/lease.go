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
	nc       *nats.Conn
	reply    string
	sequence uint64  // the message's
	hand     *inHand // which the job leaves with the lease; nil: it is in none
	deletes  bool    // reply deletes the message, in the place of an acknowledgement: it was not delivered
}

// The words of JetStream's acknowledgements.
const (
	wordAck    = "+ACK"
	wordNak    = "-NAK"
	wordExtend = "+WPI" // work in progress
)

func (l lease) ack() error { return l.end(wordAck) }

func (l lease) extend() error {
	if l.deletes {
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
	if l.hand != nil {
		l.hand.left(time.Now(), l.sequence)
	}
	if l.deletes {
		return l.removed(word)
	}
	return l.nc.Publish(l.reply, []byte(word))
}

package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// The library tells the server's own words from messages by a header, Status, on a message without a body. So a producer can write
// a message that the library takes for such a word: it drops it, and may stop. The message would stay in the queue for ever, come
// again with each lease, and stop the library each time. What follows finds those messages: they are no jobs, and become dead
// letters as all others.

// errSwallowed says that the library stopped at such a message.
var errSwallowed = errors.New("a producer's message was taken for the server's word")

// lookedAt is how many messages one look reads at most. The next one goes on from there.
const lookedAt = 512

// findSwallowed looks for such messages among those that were delivered and are not in this worker's hands, and has them handed
// over. It says how many it found. While the library goes on it looks only where the oldest messages do not get on: such a message
// is among them then.
func (s *source) findSwallowed(ctx context.Context, consumer jetstream.Consumer, stopped bool) (found int) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	info, err := consumer.Info(ctx)
	if err != nil || info.NumAckPending <= s.in.size()+s.inHand.size() {
		return 0
	}
	floor := info.AckFloor.Stream
	if moved := floor != s.floor; moved && !stopped {
		s.floor = floor
		return 0
	}
	s.looked = max(s.looked, floor)
	for range lookedAt {
		m, err := getMsg(ctx, s.q.js, s.stream, s.looked+1, s.cfg.FilterSubject)
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > info.Delivered.Stream {
			s.looked = 0 // from the beginning
			return found
		}
		if err != nil {
			return found
		}
		if len(m.Data) == 0 && m.Header.Get(statusHeader) != "" {
			select {
			case s.swallowed <- s.swallowedMessage(m):
				found++
			default:
				return found // enough for now
			}
		}
		s.looked = m.Sequence
	}
	return found
}

const statusHeader = "Status"

func (s *source) swallowedMessage(m *jetstream.RawStreamMsg) *message {
	name := s.stream.CachedInfo().Config.Name
	return &message{
		subject: m.Subject, header: m.Header, data: m.Data, stream: name, sequence: m.Sequence, stored: m.Time, delivered: 1,
		lease: lease{nc: s.q.nc, reply: jetstream.DefaultAPIPrefix + "STREAM.MSG.DELETE." + name, sequence: m.Sequence, deletes: true},
	}
}

// removed ends a lease that was not given by a delivery: nobody knows where to acknowledge it, so the message is deleted.
func (l lease) removed(word string) error {
	if word != wordAck {
		return nil // it comes again by itself
	}
	return l.nc.Publish(l.reply, fmt.Appendf(nil, `{"seq":%d,"no_erase":true}`, l.sequence))
}

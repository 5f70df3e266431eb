package dispatcher

import (
	"github.com/invitedhq/invited/queue"
)

// settledSize is how many settled jobs a worker remembers: four times what it
// has in hand of 16 partitions, 512 of each. Only the acknowledgements of those
// can be lost at once.
const settledSize = 32_768

// message names one message of the queue's streams. The time is part of the
// name because a stream that was deleted and made anew counts from 1 again.
type message struct {
	lane      queue.Lane // which stands for the stream: a name's bytes would be hashed with each look
	sequence  uint64
	published int64
}

func messageOf(x *queue.Delivery) message {
	return message{x.Lane, x.Sequence, x.PublishedAt.UnixNano()}
}

// recent remembers the last settledSize messages of a kind.
type recent struct {
	known map[message]struct{}
	order []message // a ring
	next  int
}

func (s *recent) add(m message) {
	if s.known == nil {
		s.known = make(map[message]struct{})
	}
	if len(s.order) < settledSize {
		s.order = append(s.order, m)
	} else {
		delete(s.known, s.order[s.next])
		s.order[s.next] = m
		s.next = (s.next + 1) % settledSize
	}
	s.known[m] = struct{}{}
}

func (s *recent) has(m message) bool {
	_, ok := s.known[m]
	return ok
}

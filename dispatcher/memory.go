package dispatcher

import (
	"github.com/invitedhq/invited/queue"
)

// settledSize is how many settled jobs a worker remembers. It is as many as
// the queue lets it hold unacknowledged (16 partitions of 512 in hand, and then some): only their
// acknowledgements can be lost at once.
const settledSize = 65_536

// message names one message of the queue's streams. The time is part of the
// name because a stream that was deleted and made anew counts from 1 again.
type message struct {
	stream    string
	sequence  uint64
	published int64
}

func messageOf(x *queue.Delivery) message {
	return message{x.Stream, x.Sequence, x.PublishedAt.UnixNano()}
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

package plan

import (
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// line is the parcels of one lane, or of one campaign, of one key, in the
// order they are to be sent. Those that may share a call are listed a second
// time, so that filling one does not walk past all the others.
type line struct {
	order  list[parcel]
	sole   mates            // those of one share: most lines never have another
	others map[share]*mates // those of any other; nil: none
	calls  int              // that the parcels need at the least
}

// mates are the parcels of a line that may share a call.
type mates struct {
	list[parcel]
	share share
	n     int // recipients
}

// matesOf are the parcels that have this in common; nil: none has.
func (l *line) matesOf(s share) *mates {
	if l.sole.len > 0 && l.sole.share == s {
		return &l.sole
	}
	return l.others[s]
}

func (m *mates) calls() int { return (m.n + xbl.MaxInvitedUsers - 1) / xbl.MaxInvitedUsers }

// count adds recipients to, or takes them from, the parcels of a share.
func (l *line) count(m *mates, n int) {
	l.calls -= m.calls()
	m.n += n
	l.calls += m.calls()
}

// ahead is how many calls have to be made before one with w can be, at the
// least: all that the line needs, unless w may travel in one of those.
func (l *line) ahead(w *parcel) int {
	if w.n < xbl.MaxInvitedUsers && l.matesOf(w.share()) != nil {
		return 0
	}
	return l.calls
}

// lookahead bounds the search for parcels that fit into what is left of a
// call: it fills calls as well as a full search does, at a bounded price.
const lookahead = 64

func (l *line) empty() bool { return l.order.len == 0 }

func (l *line) first() *parcel { return l.order.first.of }

func (l *line) put(w *parcel, at place) {
	m := l.matesOf(w.share())
	switch {
	case m != nil:
	case l.sole.len == 0:
		m = &l.sole
		m.share = w.share()
	default:
		m = &mates{share: w.share()}
		if l.others == nil {
			l.others = make(map[share]*mates)
		}
		l.others[m.share] = m
	}
	w.line = l
	l.count(m, w.n)
	l.order.put(&w.inOrder, w, at)
	m.put(&w.inMates, w, at)
}

func (l *line) take(w *parcel) {
	m := l.matesOf(w.share())
	l.order.take(&w.inOrder)
	m.take(&w.inMates)
	l.count(m, -w.n)
	if m.len == 0 && m != &l.sole {
		delete(l.others, m.share)
	}
	if len(l.others) == 0 {
		l.others = nil // a key outlives its jobs, by its windows' length, and an empty map is as large as the rest of it
	}
	w.line = nil
}

// fitting adds the parcels to chosen, oldest first, that may share a call which has this much room. One with a recipient who is
// in the call already comes with the next one: the service takes no call that names a user twice.
func (l *line) fitting(chosen []*parcel, s share, room, maxAttempts int) []*parcel {
	m := l.matesOf(s)
	if m == nil {
		return chosen
	}
	var users [xbl.MaxInvitedUsers]queue.XUID
	named := users[:0]
	for _, w := range chosen {
		named = w.names(named)
	}
	for e, seen := m.first, 0; e != nil && room > 0 && seen < lookahead; e, seen = e.next, seen+1 {
		if w := e.of; w.n <= room && !w.alone(maxAttempts) && !w.anyOf(named) {
			chosen = append(chosen, w)
			named = w.names(named)
			room -= w.n
		}
	}
	return chosen
}

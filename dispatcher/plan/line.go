package plan

import (
	"container/list"

	"github.com/invitedhq/invited/xbl"
)

// line is the parcels of one lane, or of one campaign, of one key, in the
// order they are to be sent. Those that may share a call are listed a second
// time, so that filling one does not walk past all the others.
type line struct {
	order list.List
	mates map[share]*mates
	calls int // that the parcels need at the least
}

// mates are the parcels of a line that may share a call.
type mates struct {
	list.List
	n int // recipients
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
	if w.n < xbl.MaxInvitedUsers && l.mates[w.share()] != nil {
		return 0
	}
	return l.calls
}

// lookahead bounds the search for parcels that fit into what is left of a
// call: it fills calls as well as a full search does, at a bounded price.
const lookahead = 64

// place is an end of a line.
type place bool

const (
	front place = true
	back  place = false
)

func (l *line) empty() bool { return l.order.Len() == 0 }

func (l *line) first() *parcel { return l.order.Front().Value.(*parcel) }

func (l *line) put(w *parcel, at place) {
	m := l.mates[w.share()]
	if m == nil {
		m = &mates{}
		if l.mates == nil {
			l.mates = make(map[share]*mates)
		}
		l.mates[w.share()] = m
	}
	w.line = l
	l.count(m, w.n)
	if at == front {
		w.inOrder, w.inMates = l.order.PushFront(w), m.PushFront(w)
	} else {
		w.inOrder, w.inMates = l.order.PushBack(w), m.PushBack(w)
	}
}

func (l *line) take(w *parcel) {
	l.order.Remove(w.inOrder)
	m := l.mates[w.share()]
	m.Remove(w.inMates)
	l.count(m, -w.n)
	if m.Len() == 0 {
		delete(l.mates, w.share())
	}
	if len(l.mates) == 0 {
		l.mates = nil // a key outlives its jobs, by its windows' length, and an empty map is as large as the rest of it
	}
	w.line, w.inOrder, w.inMates = nil, nil, nil
}

// fitting are the parcels, oldest first, that may share a call which has this much room.
func (l *line) fitting(s share, room, maxAttempts int) []*parcel {
	m := l.mates[s]
	if m == nil {
		return nil
	}
	var fit []*parcel
	for e, seen := m.Front(), 0; e != nil && room > 0 && seen < lookahead; e, seen = e.Next(), seen+1 {
		if w := e.Value.(*parcel); w.n <= room && !w.alone(maxAttempts) {
			fit = append(fit, w)
			room -= w.n
		}
	}
	return fit
}

package plan

import "container/list"

// line is the parcels of one lane, or of one campaign, of one key, in the
// order they are to be sent. Those that may share a call are listed a second
// time, so that filling one does not walk past all the others.
type line struct {
	order list.List
	mates map[share]*list.List
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
	mates := l.mates[w.share()]
	if mates == nil {
		mates = list.New()
		if l.mates == nil {
			l.mates = make(map[share]*list.List)
		}
		l.mates[w.share()] = mates
	}
	w.line = l
	if at == front {
		w.inOrder, w.inMates = l.order.PushFront(w), mates.PushFront(w)
	} else {
		w.inOrder, w.inMates = l.order.PushBack(w), mates.PushBack(w)
	}
}

func (l *line) take(w *parcel) {
	l.order.Remove(w.inOrder)
	mates := l.mates[w.share()]
	mates.Remove(w.inMates)
	if mates.Len() == 0 {
		delete(l.mates, w.share())
	}
	w.line, w.inOrder, w.inMates = nil, nil, nil
}

// fitting are the parcels, oldest first, that may share a call which has this much room.
func (l *line) fitting(s share, room, maxAttempts int) []*parcel {
	mates := l.mates[s]
	if mates == nil {
		return nil
	}
	var fit []*parcel
	for e, seen := mates.Front(), 0; e != nil && room > 0 && seen < lookahead; e, seen = e.Next(), seen+1 {
		if w := e.Value.(*parcel); w.n <= room && !w.alone(maxAttempts) {
			fit = append(fit, w)
			room -= w.n
		}
	}
	return fit
}

package plan

// list is a doubly linked list of things that have their element in them: to
// wait in one costs no allocation. The zero list is empty.
type list[T any] struct {
	first, last *element[T]
	len         int
}

// element is a thing's place in one list. It must not be copied while it is there.
type element[T any] struct {
	of         *T
	prev, next *element[T]
}

// place is an end of a list.
type place bool

const (
	front place = true
	back  place = false
)

func (l *list[T]) put(e *element[T], of *T, at place) {
	*e = element[T]{of: of}
	switch {
	case l.len == 0:
		l.first, l.last = e, e
	case at == front:
		e.next, l.first.prev = l.first, e
		l.first = e
	default:
		e.prev, l.last.next = l.last, e
		l.last = e
	}
	l.len++
}

func (l *list[T]) take(e *element[T]) {
	if e.prev == nil {
		l.first = e.next
	} else {
		e.prev.next = e.next
	}
	if e.next == nil {
		l.last = e.prev
	} else {
		e.next.prev = e.prev
	}
	l.len--
	*e = element[T]{}
}

package plan

import "time"

// lack is that a key has no token, and why.
type lack struct {
	since time.Time // zero: it has one, as far as is known
	why   string
}

const (
	// lackShows is how long what is said of a lack outlasts it, if nobody says that it is over: a worker that is gone says nothing.
	lackShows = 10 * time.Second
	// lackAfter is how long a lack takes to be worth saying: a token that is got for the first time takes a moment.
	lackAfter = 3 * tokenPoll
)

// lacks notes that there is no token.
func (p *Planner) lacks(now time.Time, k *key, why string) {
	if k.lack.since.IsZero() {
		k.lack.since = now
	}
	k.lack.why = why
	p.changed[k] = struct{}{}
}

// has notes that there is a token, since a call was answered with something else than a refusal of it.
func (p *Planner) has(k *key) {
	if !k.lack.since.IsZero() {
		k.lack = lack{}
		p.changed[k] = struct{}{}
	}
}

// says is what others may know of the lack.
func (l lack) says(now time.Time) (since time.Time, why string) {
	if l.since.IsZero() || now.Sub(l.since) < lackAfter {
		return time.Time{}, ""
	}
	return l.since, l.why
}

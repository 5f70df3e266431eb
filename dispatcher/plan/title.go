package plan

import (
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/invitedhq/invited/xbl"
)

// title is what all keys of a title have in common: whether the API answers
// for it at all. While it does not, that is nobody's failure: one call at a
// time asks whether the outage is over, and all else waits.
type title struct {
	id   uint32
	keys map[*key]struct{}

	stated []Window // by the service: the same for every key, where none are configured

	through time.Time // when a call last got an answer that was no transient failure
	failing int       // transient failures since then

	openAt   time.Time // when the next probe may go; zero: no outage
	openedAt time.Time // when the last outage was noticed
	probing  bool
	prober   *key // the key of the last probe
	pause    backoff.BackOff
}

// told takes note of what the service stated to one of the title's keys. It is
// the same for all: a new key need not find it out again.
func (t *title) told(k *key) {
	for _, w := range k.learnt {
		if w.Most == 0 || len(k.limits.Windows) > 0 {
			continue
		}
		i := slices.IndexFunc(t.stated, func(s Window) bool { return s.Per == w.Per })
		if i < 0 && len(t.stated) < maxLearnt {
			t.stated = append(t.stated, Window{Max: w.Most, Per: w.Per})
		} else if i >= 0 {
			t.stated[i].Max = w.Most
		}
	}
}

// tell gives a new key what its title was told.
func (t *title) tell(k *key) {
	if len(k.limits.Windows) > 0 || len(t.stated) == 0 {
		return
	}
	for _, w := range t.stated {
		k.addLearnt(w).Most = w.Max
	}
	k.enforce()
}

// maxTitles is how many titles without keys are kept for what they were told.
const maxTitles = 4096

// outageAfter transient failures in a row, with no other answer in between,
// are an outage of the title.
const outageAfter = 3

func (t *title) outage() bool { return !t.openAt.IsZero() }

// probeAt is when a key may ask whether the outage is over. The key that asked
// last lets the others go first: its job may be what fails.
func (t *title) probeAt(k *key) time.Time {
	if t.prober == k {
		return t.openAt.Add(time.Millisecond)
	}
	return t.openAt
}

func transient(err *xbl.Error) bool {
	return err != nil && (err.Kind == xbl.Transient || err.Kind == xbl.Ambiguous)
}

// answered takes note of an answer and reports whether keys that were held
// back by an outage may go on.
func (t *title) answered(now time.Time, c *Call, err *xbl.Error, probe func() backoff.BackOff) (wake bool) {
	if c.probe {
		t.probing = false
	}
	switch {
	case transient(err):
		t.failing++
		if t.failing < outageAfter {
			return false
		}
		if !t.outage() {
			t.pause, t.openedAt = probe(), now
		} else if !c.probe {
			return false // a call from before the outage was noticed
		}
		t.openAt = now.Add(t.pause.NextBackOff())
		return true
	case err != nil && (!err.Written || err.Overloaded):
		// No word of the API's own: a missing token, or a gateway that throttles.
		return c.probe
	}
	t.through, t.failing = now, 0
	wake = t.outage()
	t.openAt, t.pause, t.prober = time.Time{}, nil, nil
	return wake
}

package plan

import (
	"fmt"
	"slices"
	"time"

	"github.com/invitedhq/invited/queue"
)

// tooLate says in words why a parcel can't be sent before its job expires,
// given what is queued ahead of it, the Retry-After its key was given and the
// known quota. It is given up now, and costs no call; "" if it can be, or if
// that is not certain.
func (k *key) tooLate(now time.Time, w *parcel) string {
	j := w.job()
	if j.ExpiresAt.IsZero() || j.expired(now) {
		return "" // park has the words for what has expired already
	}
	ahead := 0
	if l := k.findLine(j); l != nil {
		ahead = l.ahead(w)
	}
	at := k.log.turn(now, ahead, k.certain())
	if k.blocked.After(at) {
		at = k.blocked
	}
	if at.Before(j.ExpiresAt) {
		return ""
	}
	return fmt.Sprintf("it expires in %s, and its turn can't come in less than %s: %d calls are ahead of it, and the quota allows no more",
		j.ExpiresAt.Sub(now).Round(time.Millisecond), at.Sub(now).Round(time.Millisecond), ahead)
}

// certain are the windows that are configured or stated. What was guessed, or
// cut for somebody else's calls, may open again: nobody's job ends for that.
func (k *key) certain() []Window {
	if len(k.learnt) == 0 {
		return k.limits.Windows
	}
	windows := slices.Clone(k.limits.Windows)
	for _, w := range k.learnt {
		if w.Most > 0 && k.configured(w.Per, 0) == 0 {
			windows = append(windows, Window{Max: w.Most, Per: w.Per})
		}
	}
	return windows
}

// giveUp ends what waits in the key's lines and expires before the end of a
// Retry-After that the key was just given.
func (p *Planner) giveUp(now time.Time, k *key) {
	var late []*parcel
	for _, l := range k.lines() {
		for e := l.order.first; e != nil; e = e.next {
			w := e.of
			if j := w.job(); w.narrowing == nil && !j.ExpiresAt.IsZero() && !k.blocked.Before(j.ExpiresAt) {
				late = append(late, w)
			}
		}
	}
	for _, w := range late {
		p.unpark(w)
		p.bury(now, w, queue.Dead{Reason: queue.Expired, Detail: fmt.Sprintf(
			"it expires in %s, and the API said to call again in %s",
			w.job().ExpiresAt.Sub(now).Round(time.Millisecond), k.blocked.Sub(now).Round(time.Millisecond))})
		if w.fresh { // what follows it is no earlier
			p.supply(now, k, w.job())
		}
	}
}

package plan

import (
	"cmp"
	"slices"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// learnt is a window that refusals told of: one that the service named, one
// whose length was guessed, or a configured one of which somebody else (the
// game itself) uses a part. Its Max is what gets through for this key: cut when
// a call is refused, raised by and by while none is.
type learnt struct {
	Window
	Most int // the service's, or the configured, max; never exceeded. 0: not known

	guessed  bool          // Per was found out; neither stated nor configured
	ends     time.Time     // of the service's window, as the last refusal named it
	cutAt    time.Time     // when it was last cut
	raisedAt time.Time     // when Max was last raised; zero: not since
	step     int           // by how much it is raised next
	patience time.Duration // from a cut until Max is raised again
	calls    uint64        // the key's, when it was last cut
}

const (
	// leastPatience, or two windows where those are longer. It doubles with each
	// raise that is refused, up to mostPatience or two windows: how long what a game leaves unused may stay so.
	leastPatience = time.Minute
	mostPatience  = 20 * time.Minute
	// calmCalls that came through since a cut, Max is raised again: a raise that
	// is refused costs a call.
	calmCalls = 80
	// maxLearnt windows of a key, the latest, are kept.
	maxLearnt = 8
	// retryRounding is how much later than the window's end a Retry-After of whole seconds may be.
	retryRounding = time.Second
)

// learn takes in what a throttled answer says of the limit that was hit.
func (k *key) learn(now time.Time, c *Call, err *xbl.Error) {
	t := err.Throttle
	switch {
	case t.LimitType == limitConcurrency: // the service counts them apart
		k.fewerAtOnce(k.atOnce / 2)
	case t.MaxRequests > 0 && t.Period > 0:
		k.learnStated(now, c, Window{Max: t.MaxRequests, Per: t.Period}, err.RetryAfter)
	case err.Overloaded:
	default:
		k.learnGuessed(now, c, err.RetryAfter)
	}
	k.enforce()
}

// learnStated adopts the service's numbers. If fewer of the key's own calls got
// through than they allow, somebody else made the others.
func (k *key) learnStated(now time.Time, c *Call, stated Window, retryAfter time.Duration) {
	w := k.windowOf(stated.Per)
	if w == nil {
		w = k.addLearnt(Window{Max: k.configured(stated.Per, stated.Max), Per: stated.Per})
	}
	w.Most = stated.Max
	w.Max = min(w.Max, w.Most)
	if got := k.got(now, stated.Per, retryAfter); got < w.Max {
		w.cut(now, c, got, k.composed)
	} else if w.cutAt.IsZero() {
		w.cutAt, w.calls = now, k.composed
	}
}

// learnGuessed lays the refusal to the shortest window that can have said to
// wait so long, to one that is full if there is one. If none can, there is one
// more: it has lasted for as long as the calls go on now, and goes on for
// Retry-After. A guess that is too short is mended by the next, longer
// Retry-After; one that is too long would starve the key, so it is at most
// twice that.
func (k *key) learnGuessed(now time.Time, c *Call, retryAfter time.Duration) {
	// Single calls tell exactly where the limit is.
	k.fewerAtOnce(1)
	ends := now.Add(retryAfter)
	if w := k.blamed(now, retryAfter); w != nil {
		k.measure(w, ends, retryAfter)
		if w.guessed && w.Max == 1 { // there is no less: it is longer
			w.Per = min(w.Per+retryAfter, 2*w.Per)
		}
		w.cut(now, c, k.got(now, w.Per, retryAfter), k.composed)
		w.ends = ends
		return
	}
	per := max((retryAfter + min(k.run(now, retryAfter), retryAfter)).Truncate(time.Second), time.Second)
	got := k.got(now, per, retryAfter)
	if got < 1 || got >= maxEnds/2 {
		return // somebody else used it up; or the log does not reach far enough back to tell
	}
	k.learnt = slices.DeleteFunc(k.learnt, func(w learnt) bool { return w.guessed && w.Per <= per && w.Max >= got })
	w := k.addLearnt(Window{Max: got, Per: per})
	w.guessed, w.ends, w.cutAt, w.calls = true, ends, now, k.composed
}

// measure mends the length of a guessed window: from the end of one of the
// service's windows to the end of the next is exactly that, where the key began
// to call again as the first one ended.
func (k *key) measure(w *learnt, ends time.Time, retryAfter time.Duration) {
	span := ends.Sub(w.ends).Round(time.Second)
	if !w.guessed || w.ends.IsZero() || span < retryAfter || (span-w.Per).Abs() <= retryRounding || 2*span < w.Per || 4*span > 7*w.Per {
		return
	}
	next := k.log.ends.firstAfter(w.ends.Add(-retryRounding))
	if busy := next < k.log.ends.len() && k.log.ends.at(next).Sub(w.ends) < 2*retryRounding; span < w.Per || busy {
		w.Per = span
	}
}

// got is how many of the key's calls got through in the window that the
// service says will end: those it counted, the refused one left out.
func (k *key) got(now time.Time, per, retryAfter time.Duration) int {
	began := now.Add(retryAfter - retryRounding - per)
	return k.log.answeredAfter(began) + k.log.inFlight - 1
}

// run is for how long the key has been calling without a pause of wait.
func (k *key) run(now time.Time, wait time.Duration) time.Duration {
	first := now
	for i := k.log.ends.len() - 1; i >= 0; i-- {
		end := k.log.ends.at(i)
		if first.Sub(end) > wait {
			break
		}
		first = end
	}
	return now.Sub(first)
}

// blamed is the window that a refusal without numbers is laid to, or nil.
func (k *key) blamed(now time.Time, retryAfter time.Duration) *learnt {
	windows := slices.Clone(k.log.windows)
	slices.SortFunc(windows, func(a, b Window) int { return cmp.Compare(a.Per, b.Per) })
	var long *Window
	for i, w := range windows {
		if w.Per+retryRounding <= retryAfter {
			continue
		}
		if k.got(now, w.Per, retryAfter) >= w.Max {
			long = &windows[i]
			break
		}
		if long == nil {
			long = &windows[i]
		}
	}
	if long == nil {
		return nil
	}
	if w := k.windowOf(long.Per); w != nil {
		return w
	}
	w := k.addLearnt(*long)
	w.Most = k.configured(long.Per, 0)
	return w
}

// cut lowers Max to what got through, by one at the least and to half at the
// most: it may have been somebody else's burst. Of several calls that were on
// their way when the window closed only the first cuts.
func (w *learnt) cut(now time.Time, c *Call, got int, calls uint64) {
	if !w.cutAt.IsZero() && c.Started.Before(w.cutAt) {
		return
	}
	least := w.Max / 2
	if w.raisedAt.IsZero() {
		w.patience = max(leastPatience, 2*w.Per)
	} else { // what was tried did not hold; what held before may
		w.patience = min(2*w.patience, max(mostPatience, 2*w.Per))
		least = w.Max - w.step
	}
	w.Max = max(1, least, min(got, w.Max-1))
	w.cutAt, w.calls, w.raisedAt, w.step = now, calls, time.Time{}, 1
}

// raise tries a little more of each learnt window that is used up, and was not
// refused for a while; more each time that goes well.
func (k *key) raise(now time.Time) {
	raised := false
	for i := range k.learnt {
		w := &k.learnt[i]
		if w.Most > 0 && w.Max >= w.Most || now.Sub(w.cutAt) < w.patience || now.Sub(w.raisedAt) < w.Per ||
			k.composed-w.calls < calmCalls {
			continue
		}
		if used := k.log.answeredAfter(now.Add(-w.Per)); used < w.Max {
			continue
		}
		if !w.raisedAt.IsZero() {
			w.step = min(2*w.step, max(1, w.Max/4))
		}
		w.Max += w.step
		if w.Most > 0 {
			w.Max = min(w.Max, w.Most)
		}
		w.raisedAt, raised = now, true
	}
	if raised {
		k.enforce()
	}
}

func (k *key) windowOf(per time.Duration) *learnt {
	i := slices.IndexFunc(k.learnt, func(w learnt) bool { return w.Per == per })
	if i < 0 {
		return nil
	}
	return &k.learnt[i]
}

// addLearnt adds a window, in place of the one cut longest ago if there are very many.
func (k *key) addLearnt(w Window) *learnt {
	if len(k.learnt) >= maxLearnt {
		oldest := slices.MinFunc(k.learnt, func(a, b learnt) int { return a.cutAt.Compare(b.cutAt) })
		k.learnt = slices.DeleteFunc(k.learnt, func(w learnt) bool { return w.Per == oldest.Per })
	}
	k.learnt = append(k.learnt, learnt{Window: w, step: 1, patience: max(leastPatience, 2*w.Per)})
	return &k.learnt[len(k.learnt)-1]
}

func (k *key) configured(per time.Duration, otherwise int) int {
	for _, w := range k.limits.Windows {
		if w.Per == per {
			return w.Max
		}
	}
	return otherwise
}

// enforce puts the learnt windows in force beside the configured ones, which
// other keys share and which are upper bounds whatever was learnt.
func (k *key) enforce() {
	windows := slices.Clone(k.limits.Windows)
	for _, w := range k.learnt {
		i := slices.IndexFunc(windows, func(c Window) bool { return c.Per == w.Per })
		if i < 0 {
			windows = append(windows, w.Window)
		} else {
			windows[i].Max = min(windows[i].Max, w.Max)
		}
	}
	k.log.windows = windows
}

// lastLearnt is when a refusal last taught the key something.
func (k *key) lastLearnt() (at time.Time) {
	for _, w := range k.learnt {
		at = later(at, w.cutAt)
	}
	return at
}

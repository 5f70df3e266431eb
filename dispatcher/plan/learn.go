package plan

import (
	"slices"
	"time"

	"github.com/invitedhq/invited/xbl"
)

// learn takes over what a throttled answer says about the limit that was hit,
// where that is stricter than what is known. A limit of calls at once halves
// those and leaves the windows alone; the service counts them apart.
func (k *key) learn(t xbl.Throttle) {
	if t.LimitType == limitConcurrency {
		k.atOnce = max(1, k.atOnce/2)
		k.sentSince = 0
		return
	}
	if t.MaxRequests > 0 && t.Period > 0 {
		k.log.adopt(Window{Max: t.MaxRequests, Per: t.Period})
	}
}

const limitConcurrency = "concurrency"

// regainAfter calls that were sent since a limit of calls at once was hit, one
// more at once is tried, up to what is configured.
const regainAfter = 20

// regain counts a call that was sent.
func (k *key) regain() {
	if k.atOnce >= k.limits.MaxInFlight {
		return
	}
	if k.sentSince++; k.sentSince >= regainAfter {
		k.atOnce++
		k.sentSince = 0
	}
}

// adopt adds a window, or tightens the one of the same length. The windows may
// be those of the configuration, which other keys share: they are not written to.
func (l *callLog) adopt(w Window) {
	i := slices.IndexFunc(l.windows, func(known Window) bool { return known.Per == w.Per })
	switch {
	case i < 0 && l.allows(w):
		return
	case i < 0:
		l.windows = append(slices.Clone(l.windows), w)
	case w.Max < l.windows[i].Max:
		l.windows = slices.Clone(l.windows)
		l.windows[i].Max = w.Max
	}
}

// allows reports whether the known windows never let more calls through than w does.
func (l *callLog) allows(w Window) bool {
	return slices.ContainsFunc(l.windows, func(known Window) bool {
		// In w's length the known window begins this many times at the most.
		begins := int((w.Per + known.Per - time.Nanosecond) / known.Per)
		return begins*known.Max <= w.Max
	})
}

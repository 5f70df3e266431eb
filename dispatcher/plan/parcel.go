package plan

import (
	"container/list"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// parcel is what travels together: at most 16 open recipients of one job, or,
// while a refusal is narrowed down, a group of recipients of any jobs of one call.
type parcel struct {
	spans []span
	n     int

	narrowing *narrowing // not nil: travels alone, and its answer goes there

	failures  int             // transient failures of its own
	failed    *xbl.Error      // the last of them
	uncounted time.Time       // start of the failed call of which it is open whose failure it was; zero: none
	retry     backoff.BackOff // nil until the first failure
	alarm     alarm           // the end of its backoff

	line             *line // where it waits; nil while it is in a call or backs off
	inOrder, inMates *list.Element
}

// parcels cuts what is open of a job into full calls and a remainder.
func parcels(j *Job) []*parcel {
	var all []*parcel
	for i := 0; i < len(j.Recipients); {
		if j.endedAt(i) {
			i++
			continue
		}
		if len(all) == 0 || all[len(all)-1].n == xbl.MaxInvitedUsers {
			all = append(all, &parcel{})
		}
		w := all[len(all)-1]
		s := span{job: j, lo: i, hi: i + 1}
		for s.hi < len(j.Recipients) && w.n+s.len() < xbl.MaxInvitedUsers && !j.endedAt(s.hi) {
			s.hi++
		}
		w.add(s)
		i = s.hi
	}
	return all
}

func (w *parcel) add(s span) {
	w.spans = append(w.spans, s)
	w.n += s.len()
}

func (w *parcel) job() *Job { return w.spans[0].job }

// share is what the parcels of one call have in common, beside their key.
func (w *parcel) share() share { return shareOf(w.job()) }

func shareOf(j *Job) share { return share{j.ConnectionString, j.Platform} }

type share struct{ connectionString, platform string }

// alone reports whether the parcel may not share a call. Half its attempts
// gone, it may be what breaks the calls it is in: others must not die of it.
func (w *parcel) alone(maxAttempts int) bool {
	return w.narrowing != nil || 2*w.failures >= maxAttempts
}

// join and leave keep the jobs' lists of their parcels, which expiry walks.
func (w *parcel) join() {
	for _, s := range w.spans {
		if !slices.Contains(s.job.parcels, w) {
			s.job.parcels = append(s.job.parcels, w)
		}
	}
}

func (w *parcel) leave() {
	for _, s := range w.spans {
		if i := slices.Index(s.job.parcels, w); i >= 0 {
			s.job.parcels = slices.Delete(s.job.parcels, i, i+1)
		}
	}
}

// dropExpired ends what has expired of the parcel and reports whether anything is left.
func (w *parcel) dropExpired(now time.Time, end func(span, queue.Dead)) bool {
	w.spans = slices.DeleteFunc(w.spans, func(s span) bool {
		if !s.job.expired(now) {
			return false
		}
		w.n -= s.len()
		end(s, expiredDead(s.job))
		return true
	})
	return w.n > 0
}

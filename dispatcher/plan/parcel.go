package plan

import (
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

	fresh     bool       // it was not in a call yet
	calls     int        // that it was in; of what is narrowed, the refused one counts as one
	narrowing *narrowing // not nil: travels alone, and its answer goes there

	trouble *trouble // nil until the first transient failure: most have none, and tens of thousands wait

	line             *line // where it waits; nil while it is in a call or backs off
	inOrder, inMates element[parcel]

	room [1]span // of spans: most have one
}

// trouble is what a parcel has whose calls failed.
type trouble struct {
	failures  int        // of its own
	last      *xbl.Error // which may not be its own
	uncounted time.Time  // start of the failed call of which it is open whose failure it was; zero: none
	retry     backoff.BackOff
	alarm     alarm // the end of its backoff
}

// cut takes the next parcel off a job: at most a full call of what is open. A
// job has one parcel at a time in line, and the next is cut when that one is
// sent: so a large job takes its turn with others, and little memory. nil:
// nothing is left.
func (j *Job) cut() *parcel {
	var w *parcel
	for j.uncut < len(j.Recipients) {
		if j.endedAt(j.uncut) {
			j.uncut++
			continue
		}
		if w == nil {
			w = j.newParcel()
		}
		s := span{job: j, lo: j.uncut, hi: j.uncut + 1}
		for s.hi < len(j.Recipients) && w.n+s.len() < xbl.MaxInvitedUsers && !j.endedAt(s.hi) {
			s.hi++
		}
		w.add(s)
		j.uncut = s.hi
		if w.n == xbl.MaxInvitedUsers {
			break
		}
	}
	return w
}

// newParcel is an empty one. A job's first is part of it: most have no other.
func (j *Job) newParcel() *parcel {
	w := &j.room.parcel
	if w.spans != nil { // it is in use
		w = new(parcel)
	}
	w.fresh, w.spans = true, w.room[:0]
	return w
}

func (w *parcel) add(s span) {
	w.spans = append(w.spans, s)
	w.n += s.len()
}

func (w *parcel) job() *Job { return w.spans[0].job }

// names appends the parcel's recipients to users.
func (w *parcel) names(users []queue.XUID) []queue.XUID {
	for _, s := range w.spans {
		users = append(users, s.recipients()...)
	}
	return users
}

// anyOf reports whether one of the parcel's recipients is among users.
func (w *parcel) anyOf(users []queue.XUID) bool {
	for _, s := range w.spans {
		for _, x := range s.recipients() {
			if slices.Contains(users, x) {
				return true
			}
		}
	}
	return false
}

// share is what the parcels of one call have in common, beside their key.
func (w *parcel) share() share { return shareOf(w.job()) }

func shareOf(j *Job) share { return share{j.ConnectionString, j.Platform} }

type share struct{ connectionString, platform string }

// alone reports whether the parcel may not share a call. Half its attempts
// gone, it may be what breaks the calls it is in: others must not die of it.
func (w *parcel) alone(maxAttempts int) bool {
	return w.narrowing != nil || w.trouble != nil && 2*w.trouble.failures >= maxAttempts
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

// prune ends what has expired of the parcel, leaves out what is dropped, and
// reports whether anything is left.
func (w *parcel) prune(now time.Time, end func(span, queue.Dead)) bool {
	w.spans = slices.DeleteFunc(w.spans, func(s span) bool {
		expired := s.job.expired(now)
		if !expired && !s.job.dropped {
			return false
		}
		w.n -= s.len()
		if !s.job.dropped {
			end(s, expiredDead(s.job))
		}
		return true
	})
	return w.n > 0
}

package plan

import (
	"slices"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

// Key is what the service limits: one sender's calls for one title.
type Key struct {
	Sender  string
	TitleID uint32
}

// Job is one delivered invite job. It must not be copied once it is added. The first block is set by whoever adds it;
// the second is kept by the planner and read by the dispatcher.
type Job struct {
	Key              Key
	Partition        int // of the key: all keys of one come and go together
	Lane             queue.Lane
	Campaign         string
	Rate             float64 // of its campaign, in recipients per second at most; 0: no limit but the quota
	ConnectionString string
	Platform         string
	Recipients       []queue.XUID // no repeats
	ExpiresAt        time.Time    // by the clock that now is of; zero: never
	Expiry           time.Time    // the same as its producer knows it, for its dead letter
	MaybeSent        bool         // an owner that is gone may have sent it
	Ref              any          // the dispatcher's own handle on the job

	Ended          []bool // which Recipients ended; those beyond its end are open
	Sent           int
	Dead           []queue.Dead
	Attempts       int // calls made with recipients of this job; refused by a throttle or for want of a token is not made
	MaybeDuplicate bool
	SentAt         time.Time // of the last call that was sent
	Call           uint64    // the last call of those Attempts, by a number of its own; 0: none

	open       int
	uncut      int       // index of the first recipient that is in no parcel yet
	parcels    []*parcel // those that wait, not those in a call
	narrowings []*narrowing
	inCall     int   // calls that have recipients of the job
	dropped    bool  // nothing more of it is to be sent
	alarm      alarm // expiry
	progress   bool  // told of in the next Step

	// room is for what a job of one call needs, so that it needs nothing else.
	room struct {
		parcel  parcel
		parcels [1]*parcel
		ended   [xbl.MaxInvitedUsers]bool
	}
}

// InCall says whether a call with recipients of the job is not answered yet.
func (j *Job) InCall() bool { return j.inCall > 0 }

// span is a run of a job's recipients that is still open.
type span struct {
	job    *Job
	lo, hi int
}

func (s span) len() int { return s.hi - s.lo }

func (s span) recipients() []queue.XUID { return s.job.Recipients[s.lo:s.hi] }

// end marks the span's recipients as ended.
func (s span) end() {
	j := s.job
	if j.Ended == nil && len(j.Recipients) <= len(j.room.ended) {
		j.Ended = j.room.ended[:0]
	}
	if missing := len(j.Recipients) - len(j.Ended); missing > 0 {
		j.Ended = append(j.Ended, make([]bool, missing)...)
	}
	for i := s.lo; i < s.hi; i++ {
		j.Ended[i] = true
	}
	j.open -= s.len()
}

func (s span) sent(now time.Time) {
	s.job.Sent += s.len()
	s.job.SentAt = now
	s.end()
}

// die adds the span to the job's dead, joined with others that died of the same.
func (s span) die(why queue.Dead) {
	defer s.end()
	for i := range s.job.Dead {
		d := &s.job.Dead[i]
		if d.Reason == why.Reason && d.Detail == why.Detail && d.Status == why.Status && d.ErrorCode == why.ErrorCode {
			d.Recipients = append(d.Recipients, s.recipients()...)
			return
		}
	}
	why.Recipients = slices.Clone(s.recipients())
	s.job.Dead = append(s.job.Dead, why)
}

func (j *Job) endedAt(i int) bool { return i < len(j.Ended) && j.Ended[i] }

func (j *Job) expired(now time.Time) bool {
	return !j.ExpiresAt.IsZero() && !now.Before(j.ExpiresAt)
}

// wake is the job's expiry: what waits of it will not be sent. What is in a
// call right now ends as that call does.
func (j *Job) wake(p *Planner, now time.Time) {
	if !j.expired(now) { // a time without a monotonic reading, and the wall clock was set back
		p.setExpiry(now, j)
		return
	}
	for _, n := range j.narrowings {
		n.without(func(s span) bool {
			if s.job != j {
				return false
			}
			p.die(s, expiredDead(j))
			return true
		})
	}
	for w := j.cut(); w != nil; w = j.cut() {
		p.bury(now, w, expiredDead(j))
	}
	for _, w := range slices.Clone(j.parcels) {
		p.unpark(w)
		p.park(now, w, front)
	}
	p.refresh(now, p.keys[j.Key])
}

// setExpiry sets the job's alarm. All alarms are compared by Go's monotonic
// reading, which now brings along if ExpiresAt has none.
func (p *Planner) setExpiry(now time.Time, j *Job) {
	p.alarms.set(&j.alarm, now.Add(j.ExpiresAt.Sub(now)), j)
}

func expiredDead(j *Job) queue.Dead {
	at := j.Expiry.UTC().Format(time.RFC3339Nano)
	return queue.Dead{Reason: queue.Expired, Detail: "expired at " + at + " before it could be sent"}
}

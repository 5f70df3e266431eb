package plan

import (
	"slices"
	"time"
)

// Drop ends the sending of a job that is, or will be, another worker's. It
// reports true where no part of the job is in a call: then it is forgotten.
// Else the calls' answers decide, or have decided: the job comes up among those
// that a later Step has Ended, or Dropped.
func (p *Planner) Drop(now time.Time, j *Job) bool {
	if j.open == 0 {
		return false
	}
	j.dropped = true
	j.uncut = len(j.Recipients)
	for _, n := range j.narrowings {
		n.without(func(s span) bool { return s.job == j })
	}
	for _, w := range slices.Clone(j.parcels) {
		p.unpark(w)
		p.park(now, w, front) // what it holds of other jobs
	}
	p.alarms.clear(&j.alarm)
	p.refresh(now, p.keys[j.Key])
	if j.inCall > 0 {
		return false
	}
	p.jobs--
	return true
}

// leaveCall notes that a call is answered, and what that means for jobs that
// were dropped meanwhile.
func (p *Planner) leaveCall(jobs []*Job) {
	for _, j := range jobs {
		if j.inCall--; j.dropped && j.inCall == 0 && j.open > 0 {
			p.jobs--
			p.step.Dropped = append(p.step.Dropped, j)
		}
	}
}

// withoutDropped are the spans of jobs that are still to be sent.
func withoutDropped(spans []span) []span {
	return slices.DeleteFunc(spans, func(s span) bool { return s.job.dropped })
}

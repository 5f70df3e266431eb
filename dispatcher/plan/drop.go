package plan

import (
	"slices"
	"time"
)

// Pause stops, or goes on with, making calls. Jobs still expire meanwhile.
func (p *Planner) Pause(paused bool) { p.paused = paused }

// Drop forgets a job that this worker no longer has the lease of: it is, or
// will be, another one's to send. It reports false and forgets nothing while a
// part of the job is in a call; how that ends is still this worker's to store.
func (p *Planner) Drop(now time.Time, j *Job) bool {
	waiting := j.uncutOpen()
	for _, w := range j.parcels {
		waiting += openOf(j, w.spans)
	}
	for _, n := range j.narrowings {
		for _, g := range n.open {
			waiting += openOf(j, g.spans)
		}
	}
	if waiting < j.open {
		return false
	}
	j.uncut = len(j.Recipients)
	for _, n := range j.narrowings {
		n.without(func(s span) bool { return s.job == j })
	}
	for _, w := range slices.Clone(j.parcels) {
		p.unpark(w)
		p.parkWithout(now, w, j)
	}
	p.jobs--
	p.alarms.clear(&j.alarm)
	p.refresh(now, p.keys[j.Key])
	return true
}

// uncutOpen is how many open recipients are in no parcel yet.
func (j *Job) uncutOpen() (n int) {
	for i := j.uncut; i < len(j.Recipients); i++ {
		if !j.endedAt(i) {
			n++
		}
	}
	return n
}

func openOf(j *Job, spans []span) (n int) {
	for _, s := range spans {
		if s.job == j {
			n += s.len()
		}
	}
	return n
}

// parkWithout puts back what a group under suspicion holds of other jobs.
func (p *Planner) parkWithout(now time.Time, w *parcel, j *Job) {
	k := p.keys[j.Key]
	w.spans = slices.DeleteFunc(w.spans, func(s span) bool { return s.job == j })
	w.n = 0
	for _, s := range w.spans {
		w.n += s.len()
	}
	switch {
	case w.n > 0:
		p.park(now, w, front)
	case w.narrowing != nil:
		p.narrow(now, k, w.narrowing)
	}
}

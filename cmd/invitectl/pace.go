package main

import "time"

// pace is how fast a campaign gets on, by what was seen of it lately.
type pace struct{ seen []glimpse }

type glimpse struct {
	at    time.Time
	ended int // recipients
}

// paceOver is what a pace is taken over: batches differ, and a connection may be lost for a moment.
const paceOver = 30 * time.Second

func (p *pace) note(at time.Time, ended int) {
	p.seen = append(p.seen, glimpse{at, ended})
	for len(p.seen) > 2 && at.Sub(p.seen[1].at) >= paceOver {
		p.seen = p.seen[1:]
	}
}

// perSecond is 0 until something has ended.
func (p *pace) perSecond() float64 {
	first, last := p.seen[0], p.seen[len(p.seen)-1]
	if !last.at.After(first.at) || last.ended <= first.ended {
		return 0
	}
	return float64(last.ended-first.ended) / last.at.Sub(first.at).Seconds()
}

package queue

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Stats is what waits in the work queues: jobs that have not ended, those that
// a worker has in hand included.
type Stats struct {
	Waiting    []Waiting          // one for each title and lane that has jobs
	Oldest     map[Lane]time.Time // when each lane's oldest job was published, by this worker's clock; absent: the lane is empty
	Partitions int                // that INVITES has
}

// Waiting is the number of jobs of one title and lane.
type Waiting struct {
	TitleID uint32 // 0: subjects that are no address
	Lane    Lane
	Jobs    uint64
	Held    uint64 // of them, those of campaigns that are paused or whose start is still to come; 0 for Interactive
}

// Stats counts what waits. It is cheap: subjects are counted again only when
// the stream changed, and it spends at most a twentieth of the time on that, so
// with very many keys the counts may be some seconds old. What is wanted of
// campaigns is read each time; where it can't be, none of their jobs counts as held.
func (q *Queue) Stats(ctx context.Context) (Stats, error) {
	s := Stats{Oldest: make(map[Lane]time.Time), Partitions: q.partitions}
	for _, lane := range Lanes() {
		c := q.counts[lane]
		oldest, titles, err := c.read(ctx, q.js)
		if err != nil {
			return Stats{}, fmt.Errorf("counting jobs in %s: %w", c.stream, err)
		}
		held, err := c.held(ctx, q.clock.toServer(time.Now()))
		if err != nil { // whoever watches for players who wait must not lose sight of them for that
			q.trouble.warn(q.log, "what is wanted of campaigns can't be read; all of their jobs count as due", "error", err)
		}
		if !oldest.IsZero() {
			s.Oldest[lane] = q.clock.toHere(oldest)
		}
		for title, jobs := range titles {
			s.Waiting = append(s.Waiting, Waiting{title, lane, jobs, held[title]})
		}
	}
	return s, nil
}

// subjectCounts remembers a stream's last counts.
type subjectCounts struct {
	stream, subjects string

	mu        sync.Mutex
	at        fingerprint
	next      time.Time // not counted again before
	titles    map[uint32]uint64
	terms     *termsBook        // of the campaigns; nil: the lane has none
	campaigns map[string]uint64 // by subject, where there are terms
}

// held counts, by title, the jobs of campaigns that somebody holds back now,
// which needs no change of the stream.
func (c *subjectCounts) held(ctx context.Context, now time.Time) (map[uint32]uint64, error) {
	if c.terms == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.terms.update(ctx); err != nil {
		return nil, err
	}
	held := make(map[string]uint64)
	for subject, jobs := range c.campaigns {
		if c.terms.at(subject, now).held {
			held[subject] = jobs
		}
	}
	return titlesOf(held), nil
}

// fingerprint changes with every message that comes or goes.
type fingerprint struct{ msgs, first, last uint64 }

// costFactor is how much longer than a count took the next one is put off.
const costFactor = 20

func (c *subjectCounts) read(ctx context.Context, js jetstream.JetStream) (time.Time, map[uint32]uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, err := js.Stream(ctx, c.stream)
	if err != nil {
		return time.Time{}, nil, err
	}
	state := s.CachedInfo().State
	at := fingerprint{state.Msgs, state.FirstSeq, state.LastSeq}
	var oldest time.Time
	if state.Msgs > 0 {
		oldest = state.FirstTime
	}
	if began := time.Now(); c.titles == nil || at != c.at && !began.Before(c.next) {
		info, err := s.Info(ctx, jetstream.WithSubjectFilter(c.subjects))
		if err != nil {
			return time.Time{}, nil, err
		}
		c.titles = titlesOf(info.State.Subjects)
		if c.terms != nil {
			c.campaigns = info.State.Subjects
		}
		c.at = at
		c.next = began.Add(costFactor * time.Since(began))
	}
	return oldest, c.titles, nil
}

func titlesOf(subjects map[string]uint64) map[uint32]uint64 {
	titles := make(map[uint32]uint64)
	for subject, n := range subjects {
		a, _ := ParseSubject(published(subject))
		titles[a.TitleID] += n
	}
	return titles
}

// published undoes INVITES' subject transform: it returns the subject that the
// producer used.
func published(stored string) string {
	rest, ok := strings.CutPrefix(stored, partPrefix)
	if !ok {
		return stored
	}
	if _, key, ok := strings.Cut(rest, "."); ok {
		return jobsPrefix + key
	}
	return stored
}

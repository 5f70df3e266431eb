package queue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// Overview is who works, and what waits: see Reader.Overview.
type Overview struct {
	At         time.Time     // by the server's clock, as all its times are
	Workers    []WorkerSeen  // those with a lease, by name
	Partitions []OwnerSeen   // all of them, by number
	Lanes      []LaneSeen    // what waits, in the order of Lanes
	Campaigns  int           // of which a job waits
	Dead       []ReasonCount // dead letters, in the order of Reasons; a reason without any is left out
	Blocked    []BlockedKey  // senders and titles inside a Retry-After: the one that is over next comes first
	NoToken    []LackingKey  // senders and titles that wait for a token: the one that has waited longest comes first
}

// WorkerSeen is a worker that has a lease.
type WorkerSeen struct {
	Name    string
	Since   time.Time // zero: it does not say, as workers of an earlier version do not
	Leaving bool      // it was told to stop, and finishes what it has
	Owns    int       // partitions
}

// OwnerSeen is whose a partition is.
type OwnerSeen struct {
	Partition int
	Owner     string    // a worker that has a lease; empty: nobody's, so that its jobs wait
	Before    string    // where it is nobody's: the worker that had it last, if one had
	Since     time.Time // when that was written down; zero: never
}

// LaneSeen is what waits in a lane: jobs that have not ended, those that a worker has in hand included.
type LaneSeen struct {
	Lane   Lane
	Jobs   int
	Oldest time.Time // when the oldest was published; zero: none waits
}

// ReasonCount is how many dead letters there are of a reason.
type ReasonCount struct {
	Reason  Reason
	Letters int
}

// BlockedKey is a sender and title that the service told to wait.
type BlockedKey struct {
	TitleID uint32
	Sender  string
	Until   time.Time
}

// LackingKey is a sender and title with jobs, and without a token to send them with.
type LackingKey struct {
	TitleID uint32
	Sender  string
	Since   time.Time
	Why     string // one line, without a token
}

// Overview says who works, and what waits. It reads what each worker says of
// itself and one record of each sender and title that was active within the
// longest window of its quota, and no jobs. It needs an operator's permissions. The
// error may be ErrNoQueue.
func (r *Reader) Overview(ctx context.Context) (Overview, error) {
	var o Overview
	for _, step := range []func(context.Context, *Overview) error{r.seeQueues, r.seeDead, r.seeWorkers, r.seeBlocked} {
		if err := step(ctx, &o); err != nil {
			return Overview{}, err
		}
	}
	return o, nil
}

// look finds a stream, as it is now.
func (r *Reader) look(ctx context.Context, name string, opts ...jetstream.StreamInfoOpt) (jetstream.Stream, *jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := r.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, nil, fmt.Errorf("stream %s: %w", name, ErrNoQueue)
	}
	var info *jetstream.StreamInfo
	if err == nil {
		info, err = s.Info(ctx, opts...)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("stream %s: %w", name, explain(err))
	}
	return s, info, nil
}

func (r *Reader) seeQueues(ctx context.Context, o *Overview) error {
	for _, of := range []struct {
		lane   Lane
		stream string
	}{{Interactive, JobsStream}, {Bulk, CampaignsStream}} {
		_, info, err := r.look(ctx, of.stream)
		if err != nil {
			return err
		}
		o.Lanes = append(o.Lanes, laneSeen(of.lane, info))
		if of.lane == Bulk {
			o.Campaigns = int(info.State.NumSubjects)
			continue
		}
		for n := range partitionsOf(info.Config.SubjectTransform) {
			o.Partitions = append(o.Partitions, OwnerSeen{Partition: n})
		}
	}
	return nil
}

func laneSeen(lane Lane, info *jetstream.StreamInfo) LaneSeen {
	seen := LaneSeen{Lane: lane, Jobs: int(info.State.Msgs)}
	if seen.Jobs > 0 {
		seen.Oldest = info.State.FirstTime
	}
	return seen
}

func (r *Reader) seeDead(ctx context.Context, o *Overview) error {
	_, info, err := r.look(ctx, DeadStream, jetstream.WithSubjectFilter(deadPrefix+">"))
	if err != nil {
		return err
	}
	letters := make(map[Reason]int)
	for subject, n := range info.State.Subjects {
		letters[Reason(subject[strings.LastIndexByte(subject, '.')+1:])] += int(n)
	}
	for _, reason := range Reasons() {
		if n := letters[reason]; n > 0 {
			o.Dead = append(o.Dead, ReasonCount{reason, n})
		}
	}
	return nil
}

// seeWorkers reads who has a lease, as workers themselves see it of each other, and who owns what.
func (r *Reader) seeWorkers(ctx context.Context, o *Overview) error {
	s, info, err := r.look(ctx, WorkersStream)
	if err != nil {
		return err
	}
	o.At = info.TimeStamp
	all := make(map[string]*WorkerSeen)
	err = readAll(ctx, s, jetstream.ConsumerConfig{FilterSubject: workersPrefix + "*.*"}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if name, ok := strings.CutPrefix(m.Subject(), alivePrefix); ok {
			if w, ok := seenWorker(name, m.Data(), meta.Timestamp, o.At); ok {
				all[name] = w
			}
			return nil
		}
		n, err := strconv.Atoi(strings.TrimPrefix(m.Subject(), ownerPrefix))
		if record, ok := readOwner(m.Data()); err == nil && ok && n >= 0 && n < len(o.Partitions) {
			p := &o.Partitions[n]
			p.Before, p.Since = record.Worker, meta.Timestamp
			if !record.Released {
				p.Owner = record.Worker
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", WorkersStream, explain(err))
	}
	for i := range o.Partitions {
		p := &o.Partitions[i]
		if w := all[p.Owner]; w != nil {
			w.Owns++
			p.Before = ""
		} else {
			p.Owner = ""
		}
	}
	for _, w := range all {
		o.Workers = append(o.Workers, *w)
	}
	slices.SortFunc(o.Workers, func(a, b WorkerSeen) int { return cmp.Compare(a.Name, b.Name) })
	return nil
}

// seenWorker reads what a worker said of itself; false: it has no lease any more.
func seenWorker(name string, data []byte, said, now time.Time) (*WorkerSeen, bool) {
	var r memberRecord
	if json.Unmarshal(data, &r) != nil || r.Left || now.Sub(said) >= expireAfter {
		return nil, false
	}
	w := &WorkerSeen{Name: name, Leaving: r.Leaving}
	if r.For > 0 {
		w.Since = said.Add(-milliseconds(r.For, longestRun))
	}
	return w, true
}

// longestRun is more than a worker runs without being started anew.
const longestRun = 100 * 365 * 24 * time.Hour

func (r *Reader) seeBlocked(ctx context.Context, o *Overview) error {
	s, info, err := r.look(ctx, KeysStream)
	if err != nil {
		return err
	}
	err = readAll(ctx, s, jetstream.ConsumerConfig{FilterSubject: keysPrefix + "*.*.*"}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		key, err := stateOf(m.Subject(), m.Data(), meta.Timestamp)
		if err == nil && key.BlockedUntil.After(info.TimeStamp) {
			o.Blocked = append(o.Blocked, BlockedKey{key.TitleID, key.Sender, key.BlockedUntil})
		}
		if err == nil && !key.NoTokenSince.IsZero() {
			o.NoToken = append(o.NoToken, LackingKey{key.TitleID, key.Sender, key.NoTokenSince, key.NoTokenWhy})
		}
		return nil // one that can't be read blocks nobody: see loadKeys
	})
	if err != nil {
		return fmt.Errorf("reading %s: %w", KeysStream, explain(err))
	}
	slices.SortFunc(o.Blocked, func(a, b BlockedKey) int {
		return cmp.Or(a.Until.Compare(b.Until), cmp.Compare(a.TitleID, b.TitleID), cmp.Compare(a.Sender, b.Sender))
	})
	slices.SortFunc(o.NoToken, func(a, b LackingKey) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.TitleID, b.TitleID), cmp.Compare(a.Sender, b.Sender))
	})
	return nil
}

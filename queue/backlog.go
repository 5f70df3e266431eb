package queue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Backlog is what waits in the queues, and how many dead letters there are.
type Backlog struct {
	At        time.Time  // by the server's clock, as all its times are
	Lanes     []LaneSeen // what waits, in the order of Lanes
	Campaigns int        // of which a job waits
	Dead      []DeadCount
	Parts     int // partitions of INVITES
}

// DeadCount is how many dead letters there are of a title and a reason.
type DeadCount struct {
	TitleID uint32 // 0: where no title could be read
	Reason  Reason
	Letters int
}

// Letters is the sum of what a filter's title and reason select; it looks at nothing else of the filter.
func (b Backlog) Letters(f Filter) (n int) {
	for _, d := range b.Dead {
		if (f.TitleID == nil || *f.TitleID == d.TitleID) && (f.Reason == "" || f.Reason == d.Reason) {
			n += d.Letters
		}
	}
	return n
}

// Backlog asks three streams how much is in them, which costs the same however much that is: three requests. See Overview
// for who works on it.
func (r *Reader) Backlog(ctx context.Context) (Backlog, error) {
	var b Backlog
	for _, of := range []struct {
		lane   Lane
		stream string
	}{{Interactive, JobsStream}, {Bulk, CampaignsStream}} {
		info, err := r.info(ctx, of.stream)
		if err != nil {
			return Backlog{}, err
		}
		b.Lanes = append(b.Lanes, laneSeen(of.lane, info))
		b.At = info.TimeStamp
		if of.lane == Bulk {
			b.Campaigns = int(info.State.NumSubjects)
		} else {
			b.Parts = partitionsOf(info.Config.SubjectTransform)
		}
	}
	info, err := r.info(ctx, DeadStream, jetstream.WithSubjectFilter(deadPrefix+"*.*"))
	if err != nil {
		return Backlog{}, err
	}
	for subject, n := range info.State.Subjects {
		title, reason, _ := strings.Cut(strings.TrimPrefix(subject, deadPrefix), ".")
		id, err := strconv.ParseUint(title, 10, 32)
		if err == nil && n > 0 {
			b.Dead = append(b.Dead, DeadCount{uint32(id), Reason(reason), int(n)})
		}
	}
	slices.SortFunc(b.Dead, func(x, y DeadCount) int {
		return cmp.Or(cmp.Compare(x.TitleID, y.TitleID), strings.Compare(string(x.Reason), string(y.Reason)))
	})
	return b, nil
}

// info asks a stream how it is. Only the first time it is looked up before.
func (r *Reader) info(ctx context.Context, name string, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	s, err := r.stream(ctx, name)
	if err != nil {
		return nil, err
	}
	info, err := infoOf(ctx, s, opts...)
	if err != nil {
		return nil, fmt.Errorf("stream %s: %w", name, err)
	}
	return info, nil
}

// stream is a handle of a stream, looked up once.
func (r *Reader) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if s, ok := r.streams.Load(name); ok {
		return s.(jetstream.Stream), nil
	}
	s, _, err := r.look(ctx, name)
	if err == nil {
		r.streams.Store(name, s)
	}
	return s, err
}

package queue

import (
	"context"
	"errors"
	"maps"
	"math/bits"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// campaignJob names a job of INVITE_CAMPAIGNS for good, as a messageKey does.
type campaignJob struct {
	Sequence  uint64 `json:"seq"`
	Published int64  `json:"published"` // Unix time in nanoseconds
}

// endedJob reads which campaign's job a result is of.
func endedJob(result nats.Header) (j campaignJob, ok bool) {
	key, ok := settledKey(result)
	return campaignJob{key.sequence, key.published}, ok && key.stream == CampaignsStream
}

// partly is what ended of a campaign's jobs that go on: one record each.
type partly map[campaignJob]partJob

type partJob struct {
	sent  int
	dead  map[Reason]int
	id    string
	again bool // it was replayed
}

func (p partJob) ended() int {
	ended := p.sent
	for _, n := range p.dead {
		ended += n
	}
	return ended
}

// counts is what a record says of its job, whose recipients need not be known
// for it. What decodeProgress takes for a contradiction is one here too.
func (r progressRecord) counts() (p partJob, err error) {
	if r.Recipients < 1 || r.Recipients > MaxInvitedUsers || len(r.Ended) != (r.Recipients+7)/8 || r.Attempts < 0 {
		return partJob{}, errProgress
	}
	p = partJob{sent: r.Sent, dead: make(map[Reason]int), id: r.ID, again: r.Again}
	unexplained := slices.Clone(r.Ended) // who ended, and is not among the dead
	if rest := r.Recipients % 8; rest > 0 {
		unexplained[len(unexplained)-1] &= 1<<rest - 1
	}
	for _, d := range r.Dead {
		if len(d.Recipients) != len(unexplained) || !d.Reason.Known() {
			return partJob{}, errProgress
		}
		n := 0
		for i, set := range d.Recipients {
			if rest := r.Recipients - 8*i; rest < 8 {
				set &= 1<<rest - 1
			}
			if set&^unexplained[i] != 0 {
				return partJob{}, errProgress
			}
			unexplained[i] &^= set
			n += bits.OnesCount8(set)
		}
		if n == 0 {
			return partJob{}, errProgress
		}
		p.dead[d.Reason] += n
	}
	sent := 0
	for _, set := range unexplained {
		sent += bits.OnesCount8(set)
	}
	if sent != r.Sent {
		return partJob{}, errProgress
	}
	return p, nil
}

// namedPartly returns the subjects of the records of a campaign's jobs, by the
// jobs' sequences. Of some the job may have ended, or be another one.
func namedPartly(ctx context.Context, progress jetstream.Stream, a Address) (map[uint64]string, error) {
	filter := progressPrefix + CampaignsStream + "." + addressTokens(a) + ".*"
	info, err := infoOf(ctx, progress, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	named := make(map[uint64]string, len(info.State.Subjects))
	for subject := range info.State.Subjects {
		if n, err := strconv.ParseUint(subject[strings.LastIndexByte(subject, '.')+1:], 10, 64); err == nil {
			named[n] = subject
		}
	}
	return named, nil
}

// partlyAtOnce is how many records are read at once: a slow link must not make them seconds.
const partlyAtOnce = 16

// readPartly reads those of the records whose jobs are still in their queue.
func readPartly(
	ctx context.Context, js jetstream.JetStream, streams map[string]jetstream.Stream, a Address, named map[uint64]string,
) (partly, error) {
	var (
		mu      sync.Mutex
		found   = make(partly, len(named))
		failed  error
		reading sync.WaitGroup
		places  = make(chan struct{}, partlyAtOnce)
	)
	for sequence, subject := range named {
		places <- struct{}{}
		reading.Go(func() {
			defer func() { <-places }()
			job, p, err := readPartlyOf(ctx, js, streams, a, subject, sequence)
			mu.Lock()
			defer mu.Unlock()
			if p.ended() > 0 {
				found[job] = p
			}
			if err != nil {
				failed = err // one is enough
			}
		})
	}
	reading.Wait()
	return found, failed
}

// readPartlyOf returns what ended of one job that goes on; nothing where it
// does not. A record alone does not tell: one may have been stored late, by a worker that was cut off, when its
// job had ended, or be of a job that was purged. So the message is looked at, after it.
func readPartlyOf(
	ctx context.Context, js jetstream.JetStream, streams map[string]jetstream.Stream, a Address, subject string, sequence uint64,
) (job campaignJob, p partJob, err error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	stored, err := streams[ProgressStream].GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, nats.ErrBadHeaderMsg) {
		return job, p, nil
	}
	if err != nil {
		return job, p, explain(err)
	}
	var r progressRecord
	if json.Unmarshal(stored.Data, &r) != nil {
		return job, p, nil // whoever goes on with the job drops it: see attach
	}
	found, err := r.counts()
	if err != nil {
		return job, p, nil // nor does it take this
	}
	m, err := getMsg(ctx, js, streams[CampaignsStream], sequence, "")
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return job, p, nil
	case err != nil:
		return job, p, explain(err)
	case m.Subject != a.Subject() || m.Time.UnixNano() != r.Published: // the stream was made anew
		return job, p, nil
	}
	return campaignJob{sequence, r.Published}, found, nil
}

// sumUpWhole is sumUp, and what ended of the jobs that go on. before is what a
// sum is gone on from that was made earlier; nil: the tally's.
//
// No recipient is counted twice or not at all, because of the order: the tally,
// then the records, then the results after the tally. A job's result is stored before its record is removed and before it
// leaves its queue. So of one whose record is not found any more, the
// result is in the tally or after it; and of one whose record was found, and whose
// result is there, the result counts alone: the results after the tally say
// whose they are, and of those in it the tally knows which had a record left (forgetOver).
func sumUpWhole(
	ctx context.Context, js jetstream.JetStream, streams map[string]jetstream.Stream, a Address, before *sums,
) (s sums, open partly, err error) {
	if s, err = beginSum(ctx, streams, a); err != nil {
		return s, nil, err
	}
	s.goOn(before)
	named, err := namedPartly(ctx, streams[ProgressStream], a)
	if err != nil {
		return s, nil, err
	}
	s.forgetOver(named)
	if open, err = readPartly(ctx, js, streams, a, named); err != nil {
		return s, nil, err
	}
	if err = s.addResults(ctx, streams[ResultsStream]); err != nil {
		return s, nil, err
	}
	s.compact()
	return s, open.without(s.Ended), nil
}

// without leaves out jobs that have ended.
func (p partly) without(ended []campaignJob) partly {
	if len(p) > 0 {
		for _, job := range ended {
			delete(p, job)
		}
	}
	return p
}

// forgetOver keeps, of the jobs whose results are in the sum, those that have a
// record: a worker died between the two, and the campaign may be paused for days before the next
// one removes it. named was read after the results. A record that was not there
// by then was removed, and does not come again.
func (t *tally) forgetOver(named map[uint64]string) {
	t.Ended = slices.DeleteFunc(t.Ended, func(j campaignJob) bool {
		_, ok := named[j.Sequence]
		return !ok
	})
}

// markPartly marks in the history of each campaign what ended of jobs that go on: those of 10,000 recipients take
// hours. It returns the last sequence of INVITE_PROGRESS; marked is what it was before.
func (q *Queue) markPartly(ctx context.Context, marked uint64) (last uint64, err error) {
	prefix := progressPrefix + CampaignsStream + "."
	info, err := infoOf(ctx, q.streams[ProgressStream], jetstream.WithSubjectFilter(prefix+">"))
	if err != nil || info.State.LastSeq == marked {
		return marked, err
	}
	done := make(map[Address]bool)
	for subject := range info.State.Subjects {
		tokens := strings.TrimPrefix(subject, prefix)
		a, err := parseTokens(subject, tokens[:max(strings.LastIndexByte(tokens, '.'), 0)], 3)
		if err != nil || a.Campaign == "-" || done[a] {
			continue
		}
		if err := q.updateTally(ctx, a); err != nil {
			return 0, err
		}
		done[a] = true
	}
	return info.State.LastSeq, nil
}

// addMark adds what is so now to the history, and reports whether that is new.
func (s *sums) addMark(open partly) (added bool) {
	sent, dead := s.Sent, 0
	for _, n := range s.Dead {
		dead += n
	}
	for _, job := range open {
		sent, dead = sent+job.sent, dead+job.ended()-job.sent
	}
	now := s.at.UnixMilli()
	s.History, added = withMark(s.begun(now), markRecord{now, sent, dead})
	return added
}

// withPartly adds what ended of jobs that go on to what is known of those that ended.
func (s sums) withPartly(p partly, c CampaignStatus) CampaignStatus {
	c.Dead = maps.Clone(c.Dead) // the sum goes on with its own
	if c.Dead == nil {
		c.Dead = make(map[Reason]int)
	}
	for _, job := range p {
		ended := job.ended()
		c.Sent += job.sent
		for reason, n := range job.dead {
			c.Dead[reason] += n
		}
		switch {
		case job.again:
			c.Replayed += ended
		case s.order.numberOf(c.Address, job.id) > 0:
			c.Left -= ended
		}
	}
	c.Partly = len(p)
	c.History = s.historyTo(s.at, c.Sent, c.DeadRecipients())
	c.Rate = rateOf(c.History)
	if c.Partly > c.Waiting { // it had jobs again by then
		c.Waiting = c.Partly
	}
	return c
}

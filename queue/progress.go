package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Progress is what ended of a job while other recipients are still open. It is
// stored in INVITE_PROGRESS, one record per job, so that a crash in between
// repeats nothing; the record is deleted when the job ends.
type Progress struct {
	Ended          []bool // for each of Job.InvitedUsers, in order
	Sent           int
	Dead           []Dead // kept until the job ends; then each becomes a dead letter
	Attempts       int
	MaybeDuplicate bool
}

// progressRecord is a Progress as it is stored. Sets of recipients are bitmaps
// over the job's: a job of 10,000 has a record of some kilobytes.
type progressRecord struct {
	Published      int64        `json:"published"` // the job's, in Unix nanoseconds: its identity
	Recipients     int          `json:"recipients"`
	Ended          []byte       `json:"ended"`
	Sent           int          `json:"sent"`
	Dead           []deadRecord `json:"dead,omitempty"`
	Attempts       int          `json:"attempts"`
	MaybeDuplicate bool         `json:"maybeDuplicate"`

	// What its result will say, for who adds both up: see partly.
	ID    string `json:"id,omitempty"`
	Again bool   `json:"again,omitempty"` // the job was replayed
}

type deadRecord struct {
	Reason     Reason `json:"reason"`
	Detail     string `json:"detail,omitempty"`
	Status     int    `json:"status,omitempty"`
	ErrorCode  string `json:"errorCode,omitempty"`
	Recipients []byte `json:"recipients"`
}

func encodeProgress(d *Delivery, p Progress) ([]byte, error) {
	users := d.Job.InvitedUsers
	if len(p.Ended) > len(users) {
		return nil, fmt.Errorf("progress of job %s: %d recipients for %d", d.ID(), len(p.Ended), len(users))
	}
	r := progressRecord{
		Published: d.PublishedAt.UnixNano(), Recipients: len(users), Ended: make([]byte, (len(users)+7)/8),
		Sent: p.Sent, Attempts: p.Attempts, MaybeDuplicate: p.MaybeDuplicate, ID: d.ID(), Again: d.replay != "",
	}
	for i, ended := range p.Ended {
		if ended {
			r.Ended[i/8] |= 1 << (i % 8)
		}
	}
	if len(p.Dead) > 0 {
		index := make(map[XUID]int, len(users))
		for i, x := range users {
			index[x] = i
		}
		for _, dead := range p.Dead {
			stored := deadRecord{
				Reason: dead.Reason, Detail: cut(printable(dead.Detail), maxDetail), Status: dead.Status,
				ErrorCode: printable(dead.ErrorCode), Recipients: make([]byte, len(r.Ended)),
			}
			for _, x := range dead.Recipients {
				i, ok := index[x]
				if !ok {
					return nil, fmt.Errorf("progress of job %s: a dead recipient is none of its recipients", d.ID())
				}
				stored.Recipients[i/8] |= 1 << (i % 8)
			}
			r.Dead = append(r.Dead, stored)
		}
	}
	return json.Marshal(r)
}

var (
	errOtherJob = errors.New("the record is another job's")
	errProgress = errors.New("the record contradicts itself")
)

// decodeProgress returns errOtherJob for a record of a job that had the same
// sequence in a stream that was deleted since. What it returns is consistent,
// whoever wrote it: each recipient that ended was sent or is dead, once, of a
// known reason.
func decodeProgress(d *Delivery, data []byte) (Progress, error) {
	var r progressRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return Progress{}, err
	}
	users := d.Job.InvitedUsers
	if r.Published != d.PublishedAt.UnixNano() || r.Recipients != len(users) || len(r.Ended) != (len(users)+7)/8 {
		return Progress{}, errOtherJob
	}
	p := Progress{Ended: make([]bool, len(users)), Sent: r.Sent, Attempts: r.Attempts, MaybeDuplicate: r.MaybeDuplicate}
	for i := range users {
		p.Ended[i] = r.Ended[i/8]&(1<<(i%8)) != 0
	}
	unexplained := slices.Clone(r.Ended) // who ended, and is not among the dead
	for _, stored := range r.Dead {
		if len(stored.Recipients) != len(unexplained) || !stored.Reason.Known() {
			return Progress{}, errProgress
		}
		dead := Dead{Reason: stored.Reason, Detail: stored.Detail, Status: stored.Status, ErrorCode: stored.ErrorCode}
		for i, x := range users {
			if stored.Recipients[i/8]&(1<<(i%8)) == 0 {
				continue
			}
			if unexplained[i/8]&(1<<(i%8)) == 0 {
				return Progress{}, errProgress
			}
			unexplained[i/8] &^= 1 << (i % 8)
			dead.Recipients = append(dead.Recipients, x)
		}
		if len(dead.Recipients) == 0 { // its letter would be of the whole job
			return Progress{}, errProgress
		}
		p.Dead = append(p.Dead, dead)
	}
	sent := 0
	for i := range users {
		if unexplained[i/8]&(1<<(i%8)) != 0 {
			sent++
		}
	}
	if sent != p.Sent || p.Attempts < 0 {
		return Progress{}, errProgress
	}
	return p, nil
}

// progressLog knows which jobs have a record. There are few: jobs that end in
// several calls, and are in the middle of that.
type progressLog struct {
	stream     jetstream.Stream
	saves      *records
	tenureOver func(partition int) func() bool

	mu      sync.Mutex
	records map[string]*progressState // by subject
}

// progressState is what this worker knows of one record.
type progressState struct {
	data     []byte // nil: not read
	sequence uint64 // of the record that was read
	ours     bool   // this worker has saved one
	part     int    // of its job
	over     bool   // the job ended
}

func newProgressLog(stream jetstream.Stream, saves *records, tenureOver func(int) func() bool) *progressLog {
	return &progressLog{stream: stream, saves: saves, tenureOver: tenureOver, records: make(map[string]*progressState)}
}

// load reads all records, when a partition was left by a worker that is gone.
// What was read before is dropped: those jobs may have ended in other hands.
func (l *progressLog) load(ctx context.Context) error {
	read := make(map[string]*progressState)
	err := readAll(ctx, l.stream, jetstream.ConsumerConfig{FilterSubject: progressPrefix + ">"}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err == nil {
			read[m.Subject()] = &progressState{data: m.Data(), sequence: meta.Sequence.Stream}
		}
		return err
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for subject, s := range l.records {
		if s.ours || s.over {
			read[subject] = s // its job is in this worker's hands, and what we saved is newer
		}
	}
	l.records = read
	return nil
}

// none says that there is no record of the job, and none need be looked for: as of almost all.
func (l *progressLog) none(d *Delivery) bool {
	if d.Invalid != nil { // what is no job has no progress
		return true
	}
	if d.Redelivered || d.MaybeSent {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.records) == 0 || l.records[d.progressSubject()] == nil
}

// attach sets d.Progress if there is a record of it. A redelivered job may have
// been another worker's since the records were loaded, so it is looked up.
func (l *progressLog) attach(ctx context.Context, d *Delivery) error {
	subject := d.progressSubject()
	l.mu.Lock()
	var known progressState
	if s := l.records[subject]; s != nil {
		known = *s
	}
	l.mu.Unlock()
	if d.Redelivered || d.MaybeSent {
		data, sequence, err := l.get(ctx, subject)
		if err != nil {
			return err
		}
		known.data, known.sequence = data, sequence
	}
	if known.data == nil {
		return nil
	}
	p, err := decodeProgress(d, known.data)
	if err != nil {
		// It can't be used, and the job will not delete it. If it is this job's, some of it was sent.
		d.MaybeSent = d.MaybeSent || !errors.Is(err, errOtherJob)
		return l.forget(ctx, subject, l.tenureOver(d.Partition))
	}
	l.note(subject, known)
	d.Progress = &p
	return nil
}

// note keeps what was read, and that it is what a save replaces.
func (l *progressLog) note(subject string, read progressState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if s := l.records[subject]; s != nil {
		s.data, s.sequence = read.data, read.sequence
	} else {
		l.records[subject] = &progressState{data: read.data, sequence: read.sequence}
	}
	if read.sequence != 0 {
		l.saves.known(l.stream, subject, read.sequence, time.Time{})
	}
}

// get returns nil where there is no record.
func (l *progressLog) get(ctx context.Context, subject string) (data []byte, sequence uint64, err error) {
	m, err := l.stream.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	return m.Data, m.Sequence, nil
}

// forget deletes a record, unless its job may be another worker's by now, which
// needs it: this one's result came too late to be known of. The sweep finds what is left.
func (l *progressLog) forget(ctx context.Context, subject string, lost func() bool) error {
	if !lost() {
		if err := l.stream.Purge(ctx, jetstream.WithPurgeSubject(subject)); err != nil {
			return err
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.records, subject)
	l.saves.forget(subject)
	return nil
}

// begin registers a save.
func (l *progressLog) begin(d *Delivery, data []byte) {
	subject := d.progressSubject()
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.records[subject]
	if s == nil {
		s = &progressState{}
		l.records[subject] = s
	}
	s.ours, s.data, s.part = true, data, d.Partition
}

// disown forgets what was saved of a partition's jobs: others go on with them.
func (l *progressLog) disown(partition int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for subject, s := range l.records {
		if s.ours && s.part == partition && !s.over {
			delete(l.records, subject)
			l.saves.forget(subject)
		}
	}
}

// over says whether the job has ended: then a save need not be tried again.
func (l *progressLog) over(subject string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.records[subject]
	return s == nil || s.over
}

// end says that the job ends; it reports whether a record has to be deleted, and which.
func (l *progressLog) end(d *Delivery) (subject string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.records) == 0 {
		return "", false
	}
	subject = d.progressSubject()
	s := l.records[subject]
	if s != nil {
		s.over = true
	}
	return subject, s != nil
}

// SaveProgress stores p as the job's progress, in place of what was stored
// before. It returns at once unless too much is on its way; done is called once,
// from another goroutine, when p is stored or a later call has replaced it, or
// with an error when ctx ended first, or ErrLost. Calls for one job are stored in
// the order they are made. p is not kept.
func (q *Queue) SaveProgress(ctx context.Context, d *Delivery, p Progress, done func(error)) {
	data, err := encodeProgress(d, p)
	if err != nil {
		go done(err)
		return
	}
	subject, over := d.progressSubject(), q.lostSince(d)
	if over() {
		go done(ErrLost)
		return
	}
	q.progress.begin(d, data)
	q.records.put(q.streams[ProgressStream], time.Time{}, &entry{
		ctx: ctx, done: unlessLost(over, done),
		last:     &nats.Msg{Subject: subject, Data: data},
		obsolete: func() bool { return over() || q.progress.over(subject) },
	})
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// KeyState is what a worker knows of the quota of one sender and title: what
// the next worker must know, so as not to make the same calls once more.
type KeyState struct {
	Partition int // that the key is in
	TitleID   uint32
	Sender    string
	// Calls are those that still count, oldest first.
	Calls []CallRun
	// Open are calls without an answer yet.
	Open int
	// BlockedUntil is the end of a Retry-After; zero: none.
	BlockedUntil time.Time
	// Learnt are windows that refusals told of.
	Learnt []LearntWindow
	// ReservedUntil is until when campaigns leave the reserve to players; zero: they do not.
	ReservedUntil time.Time
	// NoTokenSince is since when the key waits for a token; zero: it does not. It is for people: the next owner asks itself.
	NoTokenSince time.Time
	// NoTokenWhy says why there is none: one line of at most 240 bytes is stored of it.
	NoTokenWhy string
	// Until is when nothing of it matters any more.
	Until time.Time
}

// CallRun is N calls that count as answered at one time.
type CallRun struct {
	At time.Time
	N  int
}

// LearntWindow lets Max calls of the key through in any time of length Per. Most
// is what the service, or the configuration, allows; 0: not known.
type LearntWindow struct {
	Max  int
	Per  time.Duration
	Most int
}

// keysKept is as long as the longest window that can be configured.
const keysKept = 24 * time.Hour

// keyRecord is a KeyState as it is stored. Its times are relative to the moment
// it is stored, in milliseconds, so that the next owner can place them by the
// server's clock: two workers' clocks need not agree.
type keyRecord struct {
	Ago        []int64        `json:"ago,omitempty"`
	N          []int          `json:"n,omitempty"` // calls at each of them; absent: one
	Open       int            `json:"open,omitzero"`
	BlockedFor int64          `json:"blockedFor,omitzero"`
	Learnt     []windowRecord `json:"learnt,omitempty"`
	Reserved   int64          `json:"reservedFor,omitzero"`
	NoToken    string         `json:"noToken,omitzero"`    // why there is none; empty: there is one
	NoTokenFor int64          `json:"noTokenFor,omitzero"` // for how long
}

type windowRecord struct {
	Max  int   `json:"max"`
	Per  int64 `json:"perMs"`
	Most int   `json:"most,omitzero"`
}

// ErrLost means that the partition was taken away from this worker: what was to
// be stored of it may not be.
var ErrLost = errors.New("the partition is not this worker's any more")

// unlessLost says ErrLost of what may not have been stored.
func unlessLost(over func() bool, done func(error)) func(error) {
	return func(err error) {
		if err == nil && over() {
			err = ErrLost
		}
		done(err)
	}
}

// SaveKey stores what is known of a key, in place of what was stored of it
// before. It is asynchronous as SaveProgress is; done is called once: with nil
// when it or a later one of the key is stored, or with ErrLost.
func (q *Queue) SaveKey(ctx context.Context, s KeyState, done func(error)) {
	now := time.Now()
	data, err := json.Marshal(recordOf(s, now))
	if err != nil {
		go done(fmt.Errorf("state of a key: %w", err))
		return
	}
	subject := keySubject(s.Partition, s.TitleID, s.Sender)
	m := &nats.Msg{Subject: subject, Data: data, Header: make(nats.Header, 1)}
	// Else the stream would hold every key of a day, and each new owner read them.
	left := max(s.Until.Sub(now), 0).Truncate(time.Second) + time.Second
	setHeader(m.Header, jetstream.MsgTTLHeader, min(left, keysKept).String())
	over := q.tenureOver(s.Partition)
	q.records.put(q.streams[KeysStream], s.Until, &entry{ctx: ctx, done: unlessLost(over, done), last: m, obsolete: over})
}

func keySubject(partition int, titleID uint32, sender string) string {
	return keysOf(partition) + strconv.FormatUint(uint64(titleID), 10) + "." + sender
}

func keysOf(partition int) string { return keysPrefix + strconv.Itoa(partition) + "." }

// loadKeys reads what earlier owners knew of a partition's keys. A record that
// can't be read is left out: it costs a refused call at the most.
func (q *Queue) loadKeys(ctx context.Context, partition int, c claim) ([]KeyState, error) {
	var states []KeyState
	filter := jetstream.ConsumerConfig{FilterSubject: keysOf(partition) + "*.*"}
	err := readAll(ctx, q.streams[KeysStream], filter, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		// By the server's clock it was stored this long before the claim.
		stored := c.seen.Add(-max(c.at.Sub(meta.Timestamp), 0))
		if s, err := stateOf(m.Subject(), m.Data(), stored); err == nil {
			q.records.known(q.streams[KeysStream], m.Subject(), meta.Sequence.Stream, time.Now().Add(keysKept))
			states = append(states, s)
		} else {
			q.log.Warn("the stored state of a key can't be read", "error", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("reading the state of keys: %w", err)
	}
	return states, nil
}

func recordOf(s KeyState, now time.Time) keyRecord {
	r := keyRecord{Open: s.Open}
	several := false
	for _, run := range s.Calls {
		r.Ago = append(r.Ago, max(now.Sub(run.At).Milliseconds(), 0)) // rounded down: a call counts a little longer, never less
		r.N = append(r.N, run.N)
		several = several || run.N != 1
	}
	if !several {
		r.N = nil
	}
	if left := s.BlockedUntil.Sub(now); !s.BlockedUntil.IsZero() && left > 0 {
		r.BlockedFor = left.Milliseconds() + 1
	}
	if left := s.ReservedUntil.Sub(now); !s.ReservedUntil.IsZero() && left > 0 {
		r.Reserved = left.Milliseconds()
	}
	if !s.NoTokenSince.IsZero() {
		r.NoToken, r.NoTokenFor = cut(printable(s.NoTokenWhy), maxWhy), max(now.Sub(s.NoTokenSince).Milliseconds(), 0)
	}
	for _, w := range s.Learnt {
		r.Learnt = append(r.Learnt, windowRecord{w.Max, w.Per.Milliseconds(), w.Most})
	}
	return r
}

// What a record may say. Another version may have written it, or somebody who
// means harm: one number must not make a worker count to a quintillion, or leave
// a key alone for years.
const (
	maxKeyCalls = 1 << 20 // more than the largest window that can be configured, and what is in flight
	maxLearnt   = 64
	maxWhy      = 240
	maxBlock    = keysKept + time.Second // the longest Retry-After that is believed, and some rounding
)

var errKeyRecord = errors.New("the record says what no worker writes")

// stateOf reads a record that was stored at a time of this worker's clock.
func stateOf(subject string, data []byte, stored time.Time) (KeyState, error) {
	partition, key, _ := strings.Cut(strings.TrimPrefix(subject, keysPrefix), ".")
	n, err := strconv.Atoi(partition)
	if err != nil {
		return KeyState{}, err
	}
	a, err := parseTokens(subject, key, 2)
	if err != nil {
		return KeyState{}, err
	}
	var r keyRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return KeyState{}, err
	}
	if r.Open < 0 || r.Open > maxKeyCalls || len(r.Learnt) > maxLearnt {
		return KeyState{}, errKeyRecord
	}
	s := KeyState{Partition: n, TitleID: a.TitleID, Sender: a.Sender, Open: r.Open}
	calls := r.Open
	for i, ms := range r.Ago {
		run := CallRun{At: stored.Add(-milliseconds(ms, keysKept)), N: 1}
		if i < len(r.N) {
			run.N = r.N[i]
		}
		if run.N < 0 || run.N > maxKeyCalls-calls {
			return KeyState{}, errKeyRecord
		}
		calls += run.N
		s.Calls = append(s.Calls, run)
	}
	if r.BlockedFor > 0 {
		s.BlockedUntil = stored.Add(milliseconds(r.BlockedFor, maxBlock))
	}
	if r.Reserved > 0 {
		s.ReservedUntil = stored.Add(milliseconds(r.Reserved, keysKept))
	}
	if why := cut(printable(r.NoToken), maxWhy); why != "" {
		s.NoTokenSince, s.NoTokenWhy = stored.Add(-milliseconds(r.NoTokenFor, longestRun)), why
	}
	for _, w := range r.Learnt {
		if w.Max > 0 && w.Per > 0 && w.Most >= 0 {
			s.Learnt = append(s.Learnt, LearntWindow{w.Max, milliseconds(w.Per, keysKept), w.Most})
		}
	}
	return s, nil
}

// milliseconds is from 0 to most, whatever n is.
func milliseconds(n int64, most time.Duration) time.Duration {
	return time.Duration(min(max(n, 0), most.Milliseconds())) * time.Millisecond
}

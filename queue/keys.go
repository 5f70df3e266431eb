package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// KeyState is what a worker knows of the quota of one sender and title: what
// the next worker must know, so as not to make the same calls once more.
type KeyState struct {
	TitleID uint32
	Sender  string
	// Calls are when the calls that still count were answered, oldest first.
	Calls []time.Time
	// BlockedUntil is the end of a Retry-After; zero: none.
	BlockedUntil time.Time
	// Windows are those in force, learnt ones among them.
	Windows []QuotaWindow
}

// QuotaWindow allows Max calls in any time of length Per.
type QuotaWindow struct {
	Max int
	Per time.Duration
}

// keysKept is as long as the longest window that can be configured.
const keysKept = 24 * time.Hour

// keyRecord is a KeyState as it is stored, in Unix milliseconds and milliseconds.
type keyRecord struct {
	Calls        []int64        `json:"calls,omitempty"`
	BlockedUntil int64          `json:"blockedUntil,omitempty"`
	Windows      []windowRecord `json:"windows,omitempty"`
}

type windowRecord struct {
	Max int   `json:"max"`
	Per int64 `json:"perMs"`
}

// SaveKeys stores what is known of keys, each in place of what was stored of
// it before. It is asynchronous as SaveProgress is; done is called once.
func (q *Queue) SaveKeys(ctx context.Context, states []KeyState, done func(error)) {
	messages := make([]*nats.Msg, 0, len(states))
	for _, s := range states {
		data, err := json.Marshal(recordOf(s))
		if err != nil {
			go done(fmt.Errorf("state of a key: %w", err))
			return
		}
		subject := keysPrefix + strconv.FormatUint(uint64(s.TitleID), 10) + "." + s.Sender
		messages = append(messages, &nats.Msg{Subject: subject, Data: data})
	}
	if len(messages) == 0 {
		go done(nil)
		return
	}
	last := len(messages) - 1
	q.settler.submit(&entry{ctx: ctx, done: done, first: messages[:last], last: messages[last]})
}

// LoadKeys reads what is known of all keys. A record that can't be read is left
// out: it costs a refused call at the most.
func (q *Queue) LoadKeys(ctx context.Context) ([]KeyState, error) {
	var states []KeyState
	err := readAll(ctx, q.streams[KeysStream], jetstream.ConsumerConfig{}, func(m jetstream.Msg) error {
		if s, err := stateOf(m.Subject(), m.Data()); err == nil {
			states = append(states, s)
		} else {
			q.log.Warn("the stored state of a key can't be read", "error", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("queue: reading the state of keys: %w", err)
	}
	return states, nil
}

func recordOf(s KeyState) keyRecord {
	var r keyRecord
	for _, at := range s.Calls {
		r.Calls = append(r.Calls, at.UnixMilli()+1) // rounded up: a call counts a little longer, never less
	}
	if !s.BlockedUntil.IsZero() {
		r.BlockedUntil = s.BlockedUntil.UnixMilli() + 1
	}
	for _, w := range s.Windows {
		r.Windows = append(r.Windows, windowRecord{w.Max, w.Per.Milliseconds()})
	}
	return r
}

func stateOf(subject string, data []byte) (KeyState, error) {
	a, err := parseTokens(subject, subject[len(keysPrefix):], 2)
	if err != nil {
		return KeyState{}, err
	}
	var r keyRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return KeyState{}, err
	}
	s := KeyState{TitleID: a.TitleID, Sender: a.Sender}
	for _, ms := range r.Calls {
		s.Calls = append(s.Calls, time.UnixMilli(ms))
	}
	if r.BlockedUntil != 0 {
		s.BlockedUntil = time.UnixMilli(r.BlockedUntil)
	}
	for _, w := range r.Windows {
		if w.Max > 0 && w.Per > 0 {
			s.Windows = append(s.Windows, QuotaWindow{w.Max, time.Duration(w.Per) * time.Millisecond})
		}
	}
	return s, nil
}

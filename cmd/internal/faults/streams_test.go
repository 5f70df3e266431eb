package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// api asks JetStream, as the nats command line does. Without a request it just asks.
func (s *scene) api(subject string, request, answer any) error {
	var body []byte
	if request != nil {
		var err error
		if body, err = json.Marshal(request); err != nil {
			return err
		}
	}
	m, err := s.conn.Request("$JS.API."+subject, body, patience)
	if err != nil {
		return err
	}
	return orRefusal(m.Data, answer)
}

// orRefusal reads an answer of JetStream, or the error that it is.
func orRefusal(data []byte, answer any) error {
	var refusal struct {
		Error *struct {
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(data, &refusal); err != nil {
		return err
	}
	if refusal.Error != nil {
		return errors.New(refusal.Error.Description)
	}
	return json.Unmarshal(data, answer)
}

// streamConfig is a stream's, with all that this test does not know of.
type streamConfig map[string]json.RawMessage

func (c streamConfig) set(key string, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err) // a test's own values
	}
	c[key] = text
}

// limit changes a stream's limits, until undone.
func (s *scene) limit(stream string, change func(c streamConfig, messages int)) (undo func()) {
	s.t.Helper()
	configOf := func() (c streamConfig, messages int) {
		var info struct {
			Config streamConfig `json:"config"`
			State  struct {
				Messages int `json:"messages"`
			} `json:"state"`
		}
		require.NoError(s.t, s.api("STREAM.INFO."+stream, nil, &info))
		return info.Config, info.State.Messages
	}
	update := func(c streamConfig) {
		s.t.Helper()
		require.NoError(s.t, s.api("STREAM.UPDATE."+stream, c, &struct{}{}))
	}
	before, _ := configOf()
	after, messages := configOf()
	change(after, messages)
	update(after)
	return func() { s.t.Helper(); update(before) }
}

// full has a stream refuse whatever would make it larger.
func full(c streamConfig, messages int) {
	c.set("discard", "new")
	c.set("max_msgs", max(messages, 1))
}

// outbox publishes without waiting for each acknowledgement.
type outbox struct {
	s     *scene
	inbox string
	room  chan struct{} // one for each on its way

	mu     sync.Mutex
	failed error // the first
}

func (s *scene) outbox() *outbox {
	s.t.Helper()
	o := &outbox{s: s, inbox: s.conn.NewInbox(), room: make(chan struct{}, 4096)}
	sub, err := s.conn.Subscribe(o.inbox, func(m *nats.Msg) {
		if err := orRefusal(m.Data, &struct{}{}); err != nil {
			o.mu.Lock()
			o.failed = errors.Join(o.failed, fmt.Errorf("not stored: %w", err))
			o.mu.Unlock()
		}
		<-o.room
	})
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = sub.Unsubscribe() })
	return o
}

// put publishes; it waits while too much is on its way.
func (o *outbox) put(m *nats.Msg) {
	o.s.t.Helper()
	select {
	case o.room <- struct{}{}:
	case <-time.After(patience):
		require.Fail(o.s.t, "nothing is acknowledged any more")
	}
	m.Reply = o.inbox
	require.NoError(o.s.t, o.s.conn.PublishMsg(m))
}

// stored waits until all is stored.
func (o *outbox) stored() {
	o.s.t.Helper()
	for range cap(o.room) {
		select {
		case o.room <- struct{}{}:
		case <-time.After(patience):
			require.Fail(o.s.t, "not everything is acknowledged")
		}
	}
	for range cap(o.room) {
		<-o.room
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	require.NoError(o.s.t, o.failed)
}

// store publishes and waits. The error is NATS' refusal.
func (s *scene) store(m *nats.Msg) error {
	answer, err := s.conn.RequestMsg(m, 5*time.Second)
	if err != nil {
		return err
	}
	return orRefusal(answer.Data, &struct{}{})
}

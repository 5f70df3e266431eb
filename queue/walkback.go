package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// walker reads the messages of a stream that match a subject, the newest first.
// JetStream knows the first message from a sequence on, not the last one before
// it. So the walker asks whether there is one in a window before where it is,
// twice as wide each time, and halves that to the messages at its end: what is
// read is about what is shown, and a gap of a million messages that are gone costs some forty requests.
type walker struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	subject string
	before  uint64 // what is below it is still to be read
	gets    int    // requests that may still be made
}

// walkStep is how many messages are read forward at once, and then handed over backwards.
const walkStep = 32

var errWalkOver = errors.New("enough requests were made")

// next reads up to walkStep messages, the newest first; none: there are no more.
// Its error is errWalkOver where as many requests were made as may be; then it
// goes on from where before is, which may be lower than the last message it handed over.
func (w *walker) next(ctx context.Context) ([]*jetstream.RawStreamMsg, error) {
	for width := uint64(walkStep); w.before > 1; {
		from := max(w.before, width+1) - width
		first, err := w.get(ctx, from)
		switch {
		case err != nil:
			return nil, err
		case first == nil || first.Sequence >= w.before: // none in the window
			w.before, width = from, 2*width
			continue
		case width > walkStep: // there is one: in which half?
			return w.narrow(ctx, from, width)
		}
		return w.forward(ctx, first)
	}
	return nil, nil
}

// narrow finds the end of the last message in a window that has one.
func (w *walker) narrow(ctx context.Context, from, width uint64) ([]*jetstream.RawStreamMsg, error) {
	for width > walkStep {
		width /= 2
		middle := max(w.before, width+1) - width
		if middle <= from {
			continue
		}
		m, err := w.get(ctx, middle)
		if err != nil {
			return nil, err
		}
		if m == nil || m.Sequence >= w.before {
			w.before = middle
		}
	}
	first, err := w.get(ctx, max(from, max(w.before, walkStep+1)-walkStep))
	if err != nil {
		return nil, err
	}
	if first == nil || first.Sequence >= w.before { // it was removed meanwhile
		w.before = from
		return w.next(ctx)
	}
	return w.forward(ctx, first)
}

// forward reads from a message to where the walker is, and turns them round.
func (w *walker) forward(ctx context.Context, m *jetstream.RawStreamMsg) ([]*jetstream.RawStreamMsg, error) {
	start := m.Sequence
	var all []*jetstream.RawStreamMsg
	for m != nil && m.Sequence < w.before {
		all = append(all, m)
		if m.Sequence+1 >= w.before {
			break
		}
		var err error
		if m, err = w.get(ctx, m.Sequence+1); err != nil {
			return nil, err
		}
	}
	w.before = start
	slices.Reverse(all)
	return all, nil
}

// get is the first matching message from a sequence on; nil: there is none.
func (w *walker) get(ctx context.Context, from uint64) (*jetstream.RawStreamMsg, error) {
	if w.gets--; w.gets < 0 {
		return nil, errWalkOver
	}
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	m, err := getMsg(ctx, w.js, w.stream, from, w.subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil //nolint:nilnil // there is none, and that is no error
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", w.stream.CachedInfo().Config.Name, explain(err))
	}
	return m, nil
}

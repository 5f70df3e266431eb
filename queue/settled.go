package queue

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// settledKept is how many recent results are looked at for jobs whose
// acknowledgement was lost. Only as many can be lost at once as were
// in hand: with all partitions, 16 of 512, eight times over.
const settledKept = 1 << 16

// settledLog knows the jobs whose result is stored though they may still be in
// their queue, because a crash came between the result and the acknowledgement.
// Such a job has ended: it must not be handed over again.
type settledLog struct {
	stream jetstream.Stream

	mu    sync.RWMutex
	known map[messageKey]uint64 // where the result is in INVITE_RESULTS
	older map[messageKey]uint64 // the generation before
	read  uint64                // the last sequence of INVITE_RESULTS that was read
}

// endings is what workers stored of jobs that may still be in their queues.
type endings struct {
	settled  *settledLog
	progress *progressLog

	asked   atomic.Uint64
	reading chan struct{} // holds a token while somebody reads
	served  uint64        // what asked was when the last reading began
}

// learn reads what is stored by now. Several that ask at once, as for all the
// partitions of a worker that is gone, share a reading that began after they asked.
func (e *endings) learn(ctx context.Context) error {
	turn := e.asked.Add(1)
	select { // not a mutex: who waits for one can't be stopped
	case e.reading <- struct{}{}:
		defer func() { <-e.reading }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if e.served >= turn {
		return nil
	}
	served := e.asked.Load()
	if err := e.settled.load(ctx); err != nil {
		return fmt.Errorf("reading recent results: %w", err)
	}
	if err := e.progress.load(ctx); err != nil {
		return fmt.Errorf("reading progress: %w", err)
	}
	e.served = served
	return nil
}

func newSettledLog(stream jetstream.Stream) *settledLog {
	return &settledLog{stream: stream, known: make(map[messageKey]uint64)}
}

// load reads the results that are new since the last time, at most settledKept.
// It is for one goroutine at a time.
func (l *settledLog) load(ctx context.Context) error {
	info, err := l.stream.Info(ctx)
	if err != nil {
		return err
	}
	last := info.State.LastSeq
	if last < l.read { // the stream was made anew
		l.read = 0
	}
	begin := l.read + 1
	if last > settledKept {
		begin = max(begin, last-settledKept+1)
	}
	if begin > last {
		return nil
	}
	l.mu.Lock()
	if len(l.known) > settledKept {
		l.older, l.known = l.known, make(map[messageKey]uint64)
	}
	l.mu.Unlock()
	// What was read is kept also when the rest can't be: the next try goes on from there.
	err = readAll(ctx, l.stream, jetstream.ConsumerConfig{
		FilterSubject: resultsPrefix + "*.*.*", HeadersOnly: true,
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: begin,
	}, func(m jetstream.Msg) error {
		meta, err := m.Metadata()
		if err != nil {
			return err
		}
		if key, ok := settledKey(m.Headers()); ok {
			l.mu.Lock()
			l.known[key] = meta.Sequence.Stream
			l.mu.Unlock()
		}
		l.read = meta.Sequence.Stream
		return nil
	})
	if err != nil {
		return err
	}
	l.read = last
	return nil
}

// find returns where a job's result is.
func (l *settledLog) find(key messageKey) (sequence uint64, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if sequence, ok = l.known[key]; !ok {
		sequence, ok = l.older[key]
	}
	return sequence, ok
}

// settledKey reads which job a result is of from its message ID.
func settledKey(h nats.Header) (key messageKey, ok bool) {
	rest, ok := strings.CutPrefix(h.Get(nats.MsgIdHdr), resultIDPrefix)
	if !ok {
		return key, false
	}
	rest = strings.TrimSuffix(rest, againSuffix)
	parts := strings.Split(rest, ":")
	if len(parts) != 3 {
		return key, false
	}
	key.stream = parts[0]
	var err1, err2 error
	key.sequence, err1 = strconv.ParseUint(parts[1], 10, 64)
	key.published, err2 = strconv.ParseInt(parts[2], 36, 64)
	// Numbers can be written in several ways; a worker writes one.
	return key, err1 == nil && err2 == nil && key.String() == rest
}

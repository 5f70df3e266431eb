package embedded

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrDamaged means that a stream is on the disk and can't be read.
var ErrDamaged = errors.New("it is damaged")

// censusName is a file in the data directory: what was in each stream when the server was last looked at.
const censusName = "invited.streams"

// census is what is in each stream. The server itself starts without a word if messages are gone, or a whole stream: it
// believes what it finds. Who was promised that nothing is lost has to be told.
type census struct {
	Clean   bool             `json:"clean"` // nothing came or went afterwards
	Streams map[string]count `json:"streams"`
}

type count struct {
	Messages uint64 `json:"messages"`
	Last     uint64 `json:"last"`   // sequence
	InHand   uint64 `json:"inHand"` // delivered, and as many may have been acknowledged: the server deals with that later
	Ageing   bool   `json:"ageing"` // messages go by themselves, while nobody is there too
}

// checkStore compares what the server has found with what should be there. A stream that is there and can't be read is an
// error, before anybody makes an empty one in its place. Messages that are gone are told of: they don't come back if nobody sends
// the rest.
func checkStore(s *server.Server, dir string, log *slog.Logger) error {
	now, err := take(s)
	if err != nil {
		return err
	}
	onDisk, err := filepath.Glob(filepath.Join(dir, "jetstream", server.DEFAULT_GLOBAL_ACCOUNT, "streams", "*", "msgs", "*.blk"))
	if err != nil {
		return fmt.Errorf("embedded NATS: %w", err)
	}
	for _, block := range onDisk {
		store := filepath.Dir(filepath.Dir(block))
		if _, found := now.Streams[filepath.Base(store)]; !found {
			return fmt.Errorf("embedded NATS can't read stream %s in %s; why is in the log above, and nothing was changed: "+
				"restore the data directory from a backup, or move %s away to begin without what was in it: %w",
				filepath.Base(store), dir, store, ErrDamaged)
		}
	}
	before, err := readCensus(dir)
	if err != nil {
		return err
	}
	for name, was := range before.Streams {
		is := now.Streams[name]
		switch {
		case is.Last < was.Last, before.Clean && !was.Ageing && is.Messages+was.InHand < was.Messages:
			log.Error("messages are gone from the embedded NATS server's disk, though nobody took them: "+
				"restore the data directory from a backup, or find their recipients in your own records",
				"stream", name, "messages", is.Messages, "before", was.Messages, "last", is.Last, "last_before", was.Last)
		default:
		}
	}
	if err := now.write(dir); err != nil {
		log.Warn(notNoted, "error", err) // on a full disk there are jobs to be sent all the same
	}
	return nil
}

const notNoted = "what is in the streams could not be noted down; a loss on the disk would not be told of"

// takeLast counts what will be there at the next start, when all clients are gone. What they acknowledged last is still going
// through the server: it is counted as in hand, and messages are counted afterwards.
func takeLast(s *server.Server) (census, error) {
	before, err := take(s)
	if err != nil {
		return before, err
	}
	last, err := take(s)
	for name, c := range last.Streams {
		c.InHand = before.Streams[name].InHand
		last.Streams[name] = c
	}
	return last, err
}

// take counts what is in a server's streams.
func take(s *server.Server) (census, error) {
	c := census{Streams: make(map[string]count)}
	js, err := s.JszAccount(&server.JSzOptions{Account: server.DEFAULT_GLOBAL_ACCOUNT, Streams: true, Consumer: true, Config: true})
	if err != nil {
		return c, fmt.Errorf("embedded NATS: counting what is in its streams: %w", err)
	}
	for _, stream := range js.Streams {
		found := count{
			Messages: stream.State.Msgs, Last: stream.State.LastSeq,
			Ageing: stream.Config.MaxAge > 0 || stream.Config.AllowMsgTTL,
		}
		for _, consumer := range stream.Consumer {
			found.InHand += uint64(max(consumer.NumAckPending, 0))
		}
		c.Streams[stream.Name] = found
	}
	return c, nil
}

func readCensus(dir string) (c census, err error) {
	text, err := os.ReadFile(filepath.Join(dir, censusName))
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("embedded NATS: %s in %s can't be read; remove it, and what is missing is not told of: %w",
			censusName, dir, err)
	}
	return c, nil
}

// write replaces the file as a whole, so that a power failure leaves one of the two. If it can't, there is none: an old one would
// tell of losses that are none.
func (c census) write(dir string) error {
	file := filepath.Join(dir, censusName)
	err := c.writeNext(file + ".next")
	if err == nil {
		err = os.Rename(file+".next", file)
	}
	if err != nil {
		_ = os.Remove(file)
		return fmt.Errorf("embedded NATS: %w", err)
	}
	return nil
}

func (c census) writeNext(file string) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Sync(), f.Close())
}

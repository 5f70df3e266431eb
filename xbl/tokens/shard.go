package tokens

import (
	"hash/maphash"
	"strings"
	"sync"
)

// shards keep callers of different senders from waiting for each other.
const shards = 64

type shard struct {
	mu      sync.RWMutex
	entries map[string]*entry
	_       [32]byte // a cache line each
}

// table finds entries by sender. It has at most as many as it may.
type table struct {
	seed   maphash.Seed
	most   int // in one shard
	kept   int // in all; for those who may call add
	shards [shards]shard
}

func (t *table) shard(sender string) *shard {
	return &t.shards[maphash.String(t.seed, sender)%shards]
}

// find returns nil where nothing is known of the sender.
func (t *table) find(sender string) *entry {
	s := t.shard(sender)
	s.mu.RLock()
	e := s.entries[sender]
	s.mu.RUnlock()
	return e
}

// add returns the sender's entry, and the one that had to go for it: of some that it looked at, the one that was asked
// for longest ago; nil: none. One call at a time.
func (t *table) add(sender string) (added, gone *entry) {
	s := t.shard(sender)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[sender]; e != nil {
		return e, nil
	}
	if s.entries == nil {
		s.entries = make(map[string]*entry)
	}
	if len(s.entries) >= t.most {
		const looks = 8
		seen := 0
		for _, e := range s.entries { // begins anywhere
			if e.running {
				continue // else there could be a second fetch of the sender beside it
			}
			if gone == nil || e.used.Load() < gone.used.Load() {
				gone = e
			}
			if seen++; seen == looks {
				break
			}
		}
		if gone != nil {
			delete(s.entries, gone.sender)
			t.kept--
		}
	}
	t.kept++
	e := &entry{sender: strings.Clone(sender), want: want{place: -1}} // sender may be a piece of something large
	s.entries[e.sender] = e
	return e, gone
}

// each calls visit for all entries.
func (t *table) each(visit func(*entry)) {
	for i := range t.shards {
		s := &t.shards[i]
		s.mu.RLock()
		for _, e := range s.entries {
			visit(e)
		}
		s.mu.RUnlock()
	}
}

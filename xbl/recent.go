package xbl

import (
	"strings"
	"sync"
)

// recent is a map that remembers the keys used last, between size and twice size of them. Two generations do what an
// LRU list would, without touching a list on every read.
type recent[V any] struct {
	size int
	mu   sync.Mutex
	// A key that is used moves from old to young; when young is full it becomes old, and what was still in old is forgotten.
	young, old map[string]*V
}

// get returns the value of key, a new zero value if there is none.
func (r *recent[V]) get(key string) *V {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.young[key]; ok {
		return v
	}
	v, ok := r.old[key]
	if !ok {
		v = new(V)
	}
	if r.young == nil || len(r.young) >= r.size {
		r.old, r.young = r.young, make(map[string]*V)
	}
	r.young[strings.Clone(key)] = v // key may be a piece of something large
	return v
}

// find returns the value of key, nil if there is none.
func (r *recent[V]) find(key string) *V {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.young[key]; ok {
		return v
	}
	return r.old[key]
}

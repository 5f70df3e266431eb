package queue

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"iter"
	"math/bits"
)

// Recipients are the players of a campaign: each once, in the order they were
// added. Ten million of them take up to 300 MiB while they are added, and 80
// after Compact. The zero value is empty and ready. It is for one goroutine at a time.
type Recipients struct {
	chunks [][]XUID // all but the last are full: no copy is made as it grows
	table  []XUID   // open addressing, at most three quarters full; 0: a free place
	n      int
	zero   bool // somebody added what is no XUID
}

const (
	chunkSize = 1 << 16
	firstSize = 1 << 10 // places; a power of two
)

// Add adds a player. It reports false for one who was added before. 0 is no
// XUID: a campaign for it is refused as a whole.
func (r *Recipients) Add(x XUID) bool {
	if x == 0 {
		r.zero = true
		return false
	}
	if 4*(r.n+1) > 3*len(r.table) {
		r.grow()
	}
	at := r.place(x)
	if r.table[at] == x {
		return false
	}
	r.table[at] = x
	if r.n%chunkSize == 0 {
		r.chunks = append(r.chunks, make([]XUID, 0, chunkSize))
	}
	last := &r.chunks[len(r.chunks)-1]
	*last = append(*last, x)
	r.n++
	return true
}

// AddAll adds players from anywhere, such as the rows of a query, and returns
// how many were repeats.
func (r *Recipients) AddAll(players iter.Seq[XUID]) (repeats int) {
	for x := range players {
		if !r.Add(x) && x != 0 {
			repeats++
		}
	}
	return repeats
}

// Len is how many there are.
func (r *Recipients) Len() int { return r.n }

// All yields them in the order they were added.
func (r *Recipients) All() iter.Seq[XUID] { return r.from(0) }

// from leaves out the first n.
func (r *Recipients) from(n int) iter.Seq[XUID] {
	return func(yield func(XUID) bool) {
		for ; n < r.n; n++ {
			if !yield(r.chunks[n/chunkSize][n%chunkSize]) {
				return
			}
		}
	}
}

// place is where x is, or would be.
func (r *Recipients) place(x XUID) int {
	// XUIDs come in runs; one multiplication spreads them, and the high half of the product depends on all of their digits.
	high, low := bits.Mul64(uint64(x), 0x9E3779B97F4A7C15)
	mask := len(r.table) - 1
	at := int(high^low) & mask
	for r.table[at] != 0 && r.table[at] != x {
		at = (at + 1) & mask
	}
	return at
}

// Compact gives back the memory that only Add needs. Add takes it again.
func (r *Recipients) Compact() { r.table = nil }

func (r *Recipients) grow() {
	size := firstSize
	for 4*(r.n+1) > 3*size {
		size *= 2
	}
	r.table = make([]XUID, size)
	for x := range r.All() {
		r.table[r.place(x)] = x
	}
}

// digest is the same for the same recipients in the same order.
func (r *Recipients) digest() string {
	h := sha256.New()
	buffer := make([]byte, 0, 8*512)
	for x := range r.All() {
		if buffer = binary.BigEndian.AppendUint64(buffer, uint64(x)); len(buffer) == cap(buffer) {
			_, _ = h.Write(buffer)
			buffer = buffer[:0]
		}
	}
	_, _ = h.Write(buffer)
	return hex.EncodeToString(h.Sum(nil))
}

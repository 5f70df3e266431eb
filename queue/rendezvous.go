package queue

import (
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// PartitionOf is the partition, among n, of an address's jobs and of its campaigns.
func PartitionOf(a Address, n int) int {
	return partitionOf(strconv.FormatUint(uint64(a.TitleID), 10), a.Sender, n)
}

// partitionOf is the partition of a title and sender among n. It is the server's
// own function (the tokens one after the other, FNV-1a of 32 bits, modulo n), so
// that a campaign's owner is the one who has its key's interactive jobs.
func partitionOf(title, sender string, n int) int {
	h := fnv.New32a()
	_, _ = h.Write([]byte(title))
	_, _ = h.Write([]byte(sender))
	return int(h.Sum32() % uint32(n))
}

// partitionOfCampaign reads title and sender as they stand in a campaign's
// subject, readable or not.
func partitionOfCampaign(subject string, n int) int {
	tokens := strings.Split(subject, ".")
	if len(tokens) < 4 {
		return 0
	}
	return partitionOf(tokens[2], tokens[3], n)
}

// Preferred is the worker that should own a partition: the one with the highest
// score for it (rendezvous hashing). Who comes or goes moves only the partitions
// that he gets or had. Equal views give equal answers, in whatever order. Without
// workers it is "".
func Preferred(partition int, workers []string) string {
	var best string
	var most uint64
	for _, w := range workers {
		if s := score(partition, w); best == "" || s > most || s == most && w < best {
			best, most = w, s
		}
	}
	return best
}

func score(partition int, worker string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(worker))
	_, _ = h.Write([]byte{'/'})
	_, _ = h.Write(strconv.AppendInt(nil, int64(partition), 10))
	// FNV leaves what was written last in the low bits; a finalizer spreads it over all of them.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// shares is who should own each partition, among candidates that come and go.
// It is kept up to date, not worked out when it is asked for: each of a worker's
// partitions asks at each change, and would score all the workers each time.
type shares struct {
	me         string
	candidates map[string]bool
	owners     []string // by partition; "": nobody
}

func newShares(me string, partitions int) *shares {
	return &shares{me: me, candidates: make(map[string]bool), owners: make([]string, partitions)}
}

// set says whether a worker is a candidate, and reports whether that changed
// what should be me's.
func (s *shares) set(worker string, candidate bool) (concerned bool) {
	if s.candidates[worker] == candidate {
		return false
	}
	var rest []string
	if candidate {
		s.candidates[worker] = true
	} else {
		delete(s.candidates, worker)
		rest = slices.Collect(maps.Keys(s.candidates))
	}
	for n, before := range s.owners {
		switch {
		case candidate && before != "":
			s.owners[n] = Preferred(n, []string{before, worker})
		case candidate:
			s.owners[n] = worker
		case before == worker:
			s.owners[n] = Preferred(n, rest)
		}
		concerned = concerned || s.owners[n] != before && (s.owners[n] == s.me || before == s.me)
	}
	return concerned
}

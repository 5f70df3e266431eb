package plan

import (
	"slices"
	"time"
)

// moments are times, oldest first. Each takes 8 bytes, a third of a time.Time,
// and nothing that the collector has to follow: a worker at full pace whose
// quota is not known keeps millions.
type moments struct {
	from  time.Time // the first one that was added: its monotonic clock reading is all the others'
	after []time.Duration
}

func (m *moments) len() int { return len(m.after) }

func (m *moments) at(i int) time.Time { return m.from.Add(m.after[i]) }

func (m *moments) last() time.Time { return m.at(len(m.after) - 1) }

func (m *moments) add(t time.Time) {
	if len(m.after) == 0 {
		m.from = t
	}
	m.after = append(m.after, t.Sub(m.from))
}

// sort is for whoever added times that are not the latest.
func (m *moments) sort() { slices.Sort(m.after) }

// firstAfter is the index of the first one after t, or how many there are.
func (m *moments) firstAfter(t time.Time) int {
	i, _ := slices.BinarySearchFunc(m.after, t.Sub(m.from), func(after, t time.Duration) int {
		if after > t {
			return 1
		}
		return -1
	})
	return i
}

// drop forgets the n oldest.
func (m *moments) drop(n int) { m.after = slices.Delete(m.after, 0, n) }

package queue

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSharesAreKeptAsTheyWouldBeWorkedOut(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		partitions := rapid.IntRange(1, 40).Draw(r, "partitions")
		s := newShares("worker-0", partitions)
		mine := func() (n []int) {
			for p, owner := range s.owners {
				if owner == s.me {
					n = append(n, p)
				}
			}
			return n
		}
		var there []string
		for range rapid.IntRange(1, 30).Draw(r, "changes") {
			w := fmt.Sprint("worker-", rapid.IntRange(0, 9).Draw(r, "worker"))
			comes := rapid.Bool().Draw(r, "comes")
			before := mine()
			concerned := s.set(w, comes)
			require.Equal(r, !slices.Equal(before, mine()), concerned, "it says whether anything of this worker's changed")
			there = slices.DeleteFunc(there, func(other string) bool { return other == w })
			if comes {
				there = append(there, w)
			}
			for n := range partitions {
				require.Equal(r, Preferred(n, there), s.owners[n], "partition %d among %v", n, there)
			}
		}
	})
}

// BenchmarkAThousandJoin is what one worker's view takes, of 512 partitions.
func BenchmarkAThousandJoin(b *testing.B) {
	for b.Loop() {
		s := newShares("invited-7d9f-me", maxPartitions)
		for i := range 1000 {
			s.set(fmt.Sprint("invited-7d9f-", i), true)
		}
	}
}

package tokens_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/tokens"
)

func TestATokenThatServesIsGivenWithoutAnAllocation(t *testing.T) {
	c := tokens.NewCache(newMint(), tokens.Options{Random: func() float64 { return 0.5 }, Patience: time.Minute})
	defer c.Close()
	tokenOf(t, c, "ada")
	assert.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = c.Token(t.Context(), "ada") }))
}

// thick makes tokens of about the size of real ones.
func thick() *mint {
	m := newMint()
	padding := strings.Repeat("x", 2000)
	m.text = func(sender string, _ int) string { return "XBL3.0 x=1;" + sender + padding }
	return m
}

// heapOf is what n senders, each asked for once, leave in memory.
func heapOf(t testing.TB, c *tokens.Cache, m *mint, n int) uint64 {
	t.Helper()
	for i := range n {
		token, err := c.Token(t.Context(), fmt.Sprint("sender-", i))
		require.NoError(t, err)
		require.False(t, token.IsZero())
	}
	m.made, m.order = map[string]int{}, nil // what the test itself keeps
	runtime.GC()
	var s runtime.MemStats
	runtime.ReadMemStats(&s)
	return s.HeapAlloc
}

func TestManySendersDoNotFillTheMemory(t *testing.T) {
	m := thick()
	c := tokens.NewCache(m, tokens.Options{Random: func() float64 { return 0.5 }, Senders: 1024, Patience: time.Minute})
	defer c.Close()
	few := heapOf(t, c, m, 5000)
	many := heapOf(t, c, m, 25_000)
	assert.InDelta(t, few, many, 2<<20, "it does not grow with the number of senders")
}

// BenchmarkAMillionSenders says what is kept of a million senders with tokens of 2 KB, and what one costs that is new.
func BenchmarkAMillionSenders(b *testing.B) {
	for b.Loop() {
		m := thick()
		c := tokens.NewCache(m, tokens.Options{Random: func() float64 { return 0.5 }})
		before := heapOf(b, c, m, 0)
		b.ReportMetric(float64(heapOf(b, c, m, 1_000_000)-before)/(1<<20), "MiB")
		c.Close()
	}
}

func BenchmarkToken(b *testing.B) {
	c := tokens.NewCache(newMint(), tokens.Options{Random: func() float64 { return 0.5 }})
	defer c.Close()
	names := make([]string, 1024)
	for i := range names {
		names[i] = fmt.Sprint("sender-", i)
		_, _ = c.Token(b.Context(), names[i])
	}
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			_, _ = c.Token(b.Context(), names[i%len(names)])
		}
	})
}

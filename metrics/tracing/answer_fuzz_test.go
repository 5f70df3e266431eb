package tracing

import (
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// FuzzCollectorAnswer: whatever a collector answers is a number of refused spans that can be counted, and the number it means
// is found whatever else it says.
func FuzzCollectorAnswer(f *testing.F) {
	f.Add([]byte(""), uint64(2))
	f.Add([]byte("\x0a\x06\x08\x02\x12\x02no"), uint64(0))
	f.Add([]byte("\x12\x02no\x18\x01"), uint64(1<<63))
	f.Add([]byte("\x0a\xff"), uint64(1))
	f.Fuzz(func(t *testing.T, other []byte, refused uint64) {
		n := rejected(other)
		require.True(t, n >= 0 && n <= 1<<20, "%d", n)

		partial := protowire.AppendTag(nil, 2, protowire.BytesType)
		partial = protowire.AppendBytes(partial, other) // the collector's words
		partial = protowire.AppendTag(partial, 1, protowire.VarintType)
		partial = protowire.AppendVarint(partial, refused)
		answer := protowire.AppendTag(nil, 7, protowire.BytesType)
		answer = protowire.AppendBytes(answer, other)
		answer = protowire.AppendTag(answer, 1, protowire.BytesType)
		answer = protowire.AppendBytes(answer, partial)
		require.Equal(t, min(refused, 1<<20), uint64(rejected(answer)))
	})
}

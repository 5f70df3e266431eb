package queue

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func FuzzActivity(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `{"sent":7,"calls":{"sent":3},"inHand":-1,"parts":[1,-2,9999]}`, `{"sent":-1}`,
		`{"keys":{"blocked":-5,"blockedTop":[{"title":5,"sender":"ada","opensMs":9223372036854775807,"windows":[{"used":-1,"max":0,"perMs":-1}]}]}}`,
		`{"keys":{"quota":[` + strings.Repeat(`{"title":1},`, 200) + `{"title":1}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		a := readActivity(data)
		assert.GreaterOrEqual(t, a.InHand, 0)
		assert.LessOrEqual(t, len(a.Partitions), maxPartitions)
		assert.LessOrEqual(t, len(a.Calls), maxToldCalls)
		if a.Keys == nil {
			return
		}
		for _, told := range [][]KeyActivity{a.Keys.BlockedTop, a.Keys.TokenTop, a.Keys.Quota, a.Keys.Outages} {
			assert.LessOrEqual(t, len(told), maxToldKeys)
			for _, k := range told {
				assert.GreaterOrEqual(t, min(k.Opens, k.For, int64(k.Waiting)), int64(0))
				assert.LessOrEqual(t, max(k.Opens, k.For), maxToldSpan)
				for _, w := range k.Windows {
					assert.Positive(t, w.Max)
				}
			}
		}
	})
}

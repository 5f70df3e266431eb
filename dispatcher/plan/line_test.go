package plan

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestALineKnowsHowManyCallsItNeeds(t *testing.T) {
	var l line
	waiting := func(connection string, n int) *parcel {
		w := parcelOf(connection, n)
		l.put(w, back)
		return w
	}
	a, b := waiting("a", 10), waiting("a", 6)
	assert.Equal(t, 1, l.calls, "16 that can share are one call")
	c, d := waiting("a", 1), waiting("b", 1)
	assert.Equal(t, 3, l.calls, "17 are two, and another connectionString is one more")
	assert.Equal(t, 3, l.ahead(parcelOf("c", 1)), "a stranger comes after all of them")
	assert.Equal(t, 3, l.ahead(parcelOf("a", 16)), "as does one that fills a call alone")
	assert.Zero(t, l.ahead(parcelOf("a", 2)), "one that can share may travel in the first")
	for _, w := range []*parcel{b, d, a, c} {
		l.take(w)
	}
	assert.Zero(t, l.calls)
	assert.Empty(t, l.others)
	assert.True(t, l.empty())
}

func parcelOf(connection string, n int) *parcel {
	j := interactive("ada", n)
	j.ConnectionString = connection
	w := &parcel{}
	w.add(span{j, 0, n})
	return w
}

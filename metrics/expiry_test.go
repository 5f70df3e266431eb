package metrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/metrics"
	"github.com/invitedhq/invited/xbl"
)

// dated stands for a token source that knows when its tokens end.
type dated struct {
	xbl.TokenSource
	earliest time.Time
}

func (d *dated) EarliestExpiry() time.Time { return d.earliest }

const expiry = "invited_token_expiry_timestamp_seconds"

func TestTheExpiryIsWhatTheSourceKnowsOfNow(t *testing.T) {
	reg := prometheus.NewRegistry()
	source := &dated{}
	metrics.WatchTokens(reg, source)
	assert.NotContains(t, scrape(t, reg), expiry, "no token yet")
	source.earliest = time.UnixMilli(1_800_000_000_500)
	assert.Contains(t, scrape(t, reg), expiry+" 1.8000000005e+09\n")
	source.earliest = source.earliest.Add(time.Hour)
	assert.Contains(t, scrape(t, reg), expiry+" 1.8000036005e+09\n", "refreshed")
}

func TestTheExpiryIsAbsentWhereNoSourceKnowsOne(t *testing.T) {
	for name, source := range map[string]xbl.TokenSource{
		"static": xbl.Static("XBL3.0 x=hash;token"),
		"file":   xbl.File(t.TempDir()),
	} {
		reg := prometheus.NewRegistry()
		metrics.WatchTokens(reg, source)
		assert.NotContains(t, scrape(t, reg), expiry, "%s: 0 would raise every alert, and the far future none ever", name)
	}
}

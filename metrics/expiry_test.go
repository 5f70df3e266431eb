package metrics_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/metrics"
)

// dated stands for a token source that knows when its tokens and its certificate end.
type dated struct{ earliest, certificate time.Time }

func (d *dated) EarliestExpiry() time.Time  { return d.earliest }
func (d *dated) CertificateEnds() time.Time { return d.certificate }

const (
	expiry      = "invited_token_expiry_timestamp_seconds"
	certificate = "invited_token_certificate_expiry_timestamp_seconds"
)

func TestTheExpiryIsWhatTheSourceKnowsOfNow(t *testing.T) {
	reg := prometheus.NewRegistry()
	source := &dated{}
	metrics.WatchTokens(reg, source)
	assert.NotContains(t, scrape(t, reg), "expiry", "none is known: 0 would raise every alert, and the far future none ever")
	source.earliest = time.UnixMilli(1_800_000_000_500)
	assert.Contains(t, scrape(t, reg), expiry+" 1.8000000005e+09\n")
	assert.NotContains(t, scrape(t, reg), certificate)
	source.earliest = source.earliest.Add(time.Hour)
	assert.Contains(t, scrape(t, reg), expiry+" 1.8000036005e+09\n", "refreshed")
	source.certificate = time.Unix(1_900_000_000, 0)
	assert.Contains(t, scrape(t, reg), certificate+" 1.9e+09\n")
}

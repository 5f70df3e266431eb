package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/invitedhq/invited/xbl"
)

// Expiring is what a token source has that knows when its tokens end.
type Expiring interface {
	// EarliestExpiry is the earliest NotAfter of the tokens that it gives now,
	// the zero time where it knows of none. It is called with each scrape, from
	// any goroutine.
	EarliestExpiry() time.Time
}

// WatchTokens registers the gauge of the earliest expiry, read when it is
// scraped. It is absent as long as the source knows of none, or is not
// Expiring at all, as xbl.Static and xbl.File are not, which are given tokens
// without a date: 0 would say that one expired long ago, and no other number
// that none is known.
func WatchTokens(reg prometheus.Registerer, tokens xbl.TokenSource) {
	source, _ := tokens.(Expiring)
	reg.MustRegister(&expiryGauge{
		source: source,
		expiry: gauge("invited_token_expiry_timestamp_seconds", "seconds",
			"When the first of the senders' tokens in use ends, in Unix time; absent where the token source does not know."),
	})
}

type expiryGauge struct {
	source Expiring // nil: none
	expiry *prometheus.Desc
}

func (g *expiryGauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.expiry }

func (g *expiryGauge) Collect(ch chan<- prometheus.Metric) {
	if g.source == nil {
		return
	}
	if at := g.source.EarliestExpiry(); !at.IsZero() {
		const milli = 1000
		ch <- prometheus.MustNewConstMetric(g.expiry, prometheus.GaugeValue, float64(at.UnixMilli())/milli)
	}
}

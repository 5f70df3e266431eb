package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Expiring is a source of tokens that may know when they end.
type Expiring interface {
	// EarliestExpiry is the earliest NotAfter of the tokens in use, the zero time
	// where it knows of none.
	EarliestExpiry() time.Time
	// CertificateEnds is when the certificate ends with which it gets tokens, the
	// zero time where there is none.
	CertificateEnds() time.Time
}

// WatchTokens registers the gauges of the earliest expiry and of the
// certificate's end, read when they are scraped, by any goroutine. Each is absent
// as long as the source knows none: 0 would say that it was long ago, and no other
// number that none is known.
func WatchTokens(reg prometheus.Registerer, source Expiring) {
	reg.MustRegister(
		&expiryGauge{source.EarliestExpiry, gauge("invited_token_expiry_timestamp_seconds", "seconds",
			"When the first of the senders' tokens in use ends, in Unix time; absent where the token source does not know.")},
		&expiryGauge{source.CertificateEnds, gauge("invited_token_certificate_expiry_timestamp_seconds", "seconds",
			"When the certificate ends with which tokens are got, in Unix time; absent where there is none.")},
	)
}

type expiryGauge struct {
	at     func() time.Time
	expiry *prometheus.Desc
}

func (g *expiryGauge) Describe(ch chan<- *prometheus.Desc) { ch <- g.expiry }

func (g *expiryGauge) Collect(ch chan<- prometheus.Metric) {
	if at := g.at(); !at.IsZero() {
		const milli = 1000
		ch <- prometheus.MustNewConstMetric(g.expiry, prometheus.GaugeValue, float64(at.UnixMilli())/milli)
	}
}

// Package monitoring runs a real Prometheus with the rules of deploy/prometheus on real workers, breaks the Xbox service's
// stand-in, and sees the alert fire and end; and it asks that Prometheus every query of the dashboards in deploy/grafana.
//
// There is nothing to call here. The tests need a prometheus on the PATH, so they have a build tag of their own, and go test ./...
// does not know them; the gate's step alerts installs Debian's package and runs them:
//
//	go test -tags prometheus ./cmd/internal/monitoring -v
//
// Minutes of the rules are made seconds (see shorten), or each alert would take as long as at night.
package monitoring

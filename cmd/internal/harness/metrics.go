package harness

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// Metrics are the series of one /metrics page, by name with labels as the page writes them: invited_jobs_total{lane="bulk",…}.
type Metrics map[string]float64

func readMetrics(t testing.TB, url string) Metrics {
	t.Helper()
	status, page := Get(t, url)
	if status != http.StatusOK {
		t.Fatalf("%s answers %d", url, status)
	}
	m := Metrics{}
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[cut+1:], 64)
		if err != nil {
			t.Fatalf("%s: the line %q has no number: %v", url, line, err)
		}
		m[line[:cut]] = value
	}
	return m
}

// Sum adds up the series of a name that have all these labels, written as lane="bulk". None is 0.
func (m Metrics) Sum(name string, labels ...string) (sum float64) {
series:
	for series, value := range m {
		own, all, _ := strings.Cut(series, "{")
		if own != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains("{,"+strings.TrimSuffix(all, "}")+",", ","+label+",") {
				continue series
			}
		}
		sum += value
	}
	return sum
}

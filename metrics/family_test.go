package metrics_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

// family is what a registry says of one metric.
type family struct {
	name, kind, unit, help string
	labels                 []string            // sorted
	values                 map[string][]string // of each label: all there are, sorted
	buckets                []string            // upper bounds
}

func familiesOf(t *testing.T, reg *prometheus.Registry) (all []family) {
	t.Helper()
	gathered, err := reg.Gather()
	require.NoError(t, err)
	for _, g := range gathered {
		f := family{
			name: g.GetName(), kind: strings.ToLower(g.GetType().String()), unit: g.GetUnit(), help: g.GetHelp(),
			values: map[string][]string{},
		}
		for _, m := range g.GetMetric() {
			for _, l := range m.GetLabel() {
				f.values[l.GetName()] = append(f.values[l.GetName()], l.GetValue())
			}
		}
		for label, values := range f.values {
			slices.Sort(values)
			f.labels, f.values[label] = append(f.labels, label), slices.Compact(values)
		}
		slices.Sort(f.labels)
		for _, bucket := range g.GetMetric()[0].GetHistogram().GetBucket() {
			f.buckets = append(f.buckets, strconv.FormatFloat(bucket.GetUpperBound(), 'f', -1, 64))
		}
		all = append(all, f)
	}
	return all
}

package metrics_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// vocabulary is what queries may name: less than PromQL's grammar, and all that a renamed metric would break.
type vocabulary struct {
	metrics map[string]map[string][]string // the values of each label; no values: any
	labels  []string                       // of any metric
}

// vocabularyOf has the registry's metrics, those that rules record, and Prometheus's own.
func vocabularyOf(t *testing.T, reg *prometheus.Registry) vocabulary {
	t.Helper()
	v := vocabulary{metrics: map[string]map[string][]string{
		"up":     {},
		"ALERTS": {"alertname": nil, "alertstate": nil, "severity": nil},
	}}
	every := map[string][]string{"job": nil, "instance": nil}
	for _, f := range familiesOf(t, reg) {
		labels := maps.Clone(f.values)
		for _, name := range open {
			if _, ok := labels[name]; ok {
				labels[name] = nil
			}
		}
		for name, values := range labels {
			every[name] = append(every[name], values...)
		}
		if f.kind != "histogram" {
			v.metrics[f.name] = labels
			continue
		}
		v.metrics[f.name+"_sum"], v.metrics[f.name+"_count"] = labels, labels
		buckets := maps.Clone(labels)
		buckets["le"] = nil
		v.metrics[f.name+"_bucket"] = buckets
	}
	every["le"], every["alertname"] = nil, nil
	for _, r := range readRules(t) {
		if r.Record != "" {
			v.metrics[r.Record] = nil // its labels are those of its expression
		}
	}
	for name, labels := range v.metrics {
		if labels == nil {
			v.metrics[name] = every
			continue
		}
		labels["job"], labels["instance"] = nil, nil
	}
	v.labels = slices.Sorted(maps.Keys(every))
	return v
}

var (
	matchers  = regexp.MustCompile(`([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}`)
	matcher   = regexp.MustCompile(`(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"`)
	grouping  = regexp.MustCompile(`\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)`)
	strung    = regexp.MustCompile(`"[^"]*"`)
	ranges    = regexp.MustCompile(`\[[^\]]*\]|\boffset \w+`)
	names     = regexp.MustCompile(`(?:^|[^\w:.$])([a-zA-Z_:][\w:]*)\s*(\(?)`)
	operators = []string{"and", "or", "unless", "bool", "by", "without", "on", "ignoring", "group_left", "group_right"}
)

// problems are what a query names and nothing has.
func (v vocabulary) problems(query string) (found []string) {
	for _, match := range matchers.FindAllStringSubmatch(query, -1) {
		labels, ok := v.metrics[match[1]]
		if !ok {
			continue // said below
		}
		for _, m := range matcher.FindAllStringSubmatch(match[2], -1) {
			found = append(found, valueProblems(match[1], labels, m[1], m[3])...)
		}
	}
	for _, match := range grouping.FindAllStringSubmatch(query, -1) {
		for label := range strings.SplitSeq(match[1], ",") {
			if label = strings.TrimSpace(label); label != "" && !slices.Contains(v.labels, label) {
				found = append(found, "no label "+label)
			}
		}
	}
	rest := matchers.ReplaceAllString(strung.ReplaceAllString(ranges.ReplaceAllString(query, ""), ""), "$1")
	for _, match := range names.FindAllStringSubmatch(grouping.ReplaceAllString(rest, ""), -1) {
		function := match[2] != ""
		if _, ok := v.metrics[match[1]]; !ok && !function && !slices.Contains(operators, match[1]) {
			found = append(found, "no metric "+match[1])
		}
	}
	return found
}

// valueProblems looks at one matcher. A value that is a pattern is taken to be alternatives, which is all that rules need of closed sets.
func valueProblems(metric string, labels map[string][]string, label, value string) (found []string) {
	values, ok := labels[label]
	if !ok {
		return []string{fmt.Sprintf("%s has no label %s", metric, label)}
	}
	for one := range strings.SplitSeq(value, "|") {
		if values != nil && !slices.Contains(values, one) {
			found = append(found, fmt.Sprintf("%s has no %s %s", metric, label, one))
		}
	}
	return found
}

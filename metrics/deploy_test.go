package metrics_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What deploy/ asks of the registry, and docs/runbook.md of the alerts. That Prometheus understands it, and that the alerts fire when
// they should, is for the gate's step alerts.

// rule is one of Prometheus's, recording or alerting.
type rule struct {
	Record, Alert, Expr, For string
	Labels, Annotations      map[string]string
}

func readRules(t *testing.T) (all []rule) {
	t.Helper()
	for _, file := range filesIn(t, "../deploy/prometheus/*.rules.yaml") {
		var content struct {
			Groups []struct {
				Name  string
				Rules []rule
			}
		}
		require.NoError(t, yaml.UnmarshalWithOptions(readFile(t, file), &content, yaml.Strict()), file)
		for _, g := range content.Groups {
			all = append(all, g.Rules...)
		}
	}
	return all
}

func readAlerts(t *testing.T) (all []rule) {
	t.Helper()
	all = slices.DeleteFunc(readRules(t), func(r rule) bool { return r.Alert == "" })
	require.NotEmpty(t, all)
	return all
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(name)
	require.NoError(t, err)
	return content
}

func filesIn(t *testing.T, pattern string) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	return files
}

func TestEachAlertHasItsPlaceInTheRunbook(t *testing.T) {
	runbook := string(readFile(t, "../docs/runbook.md"))
	var alerts, sections []string
	for _, a := range readAlerts(t) {
		alerts = append(alerts, a.Alert)
		assert.Equal(t, "https://github.com/invitedhq/invited/blob/main/docs/runbook.md#"+strings.ToLower(a.Alert), a.Annotations["runbook_url"])
	}
	for _, match := range regexp.MustCompile(`(?m)^## (Invited\w+)$`).FindAllStringSubmatch(runbook, -1) {
		sections = append(sections, match[1])
	}
	assert.ElementsMatch(t, alerts, sections)
	for _, section := range strings.Split(runbook, "\n## ")[1:] {
		if name, _, _ := strings.Cut(section, "\n"); slices.Contains(alerts, name) {
			for _, part := range []string{"**Means.**", "**Players.**", "**Look.**", "**Do.**", "**Wake.**"} {
				assert.Contains(t, section, part, name)
			}
		}
	}
}

func TestEachAlertSaysWhatItIsAboutAndIsTested(t *testing.T) {
	var tests strings.Builder
	for _, file := range filesIn(t, "../deploy/prometheus/tests/*.yaml") {
		tests.Write(readFile(t, file))
	}
	for _, a := range readAlerts(t) {
		assert.NotEmpty(t, a.For, "%s: a single look wakes nobody", a.Alert)
		assert.Contains(t, []string{"critical", "warning"}, a.Labels["severity"], a.Alert)
		assert.Contains(t, a.Annotations["summary"], "{{", "%s: the summary says how much", a.Alert)
		assert.NotEmpty(t, a.Annotations["description"], a.Alert)
		assert.Contains(t, tests.String(), `{alertname="`+a.Alert+`", severity="`+a.Labels["severity"]+`"}`,
			"%s: a test of promtool has it fire", a.Alert)
	}
}

func TestRulesAndDashboardsNameOnlyWhatThereIs(t *testing.T) {
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		known := vocabularyOf(t, reg)
		for _, r := range readRules(t) {
			for _, problem := range known.problems(r.Expr) {
				t.Errorf("%s%s: %s", r.Record, r.Alert, problem)
			}
			for _, match := range regexp.MustCompile(`\$labels\.(\w+)`).FindAllStringSubmatch(strings.Join(slices.Collect(maps.Values(r.Annotations)), " "), -1) {
				assert.Contains(t, known.labels, match[1], r.Alert)
			}
		}
		for _, file := range filesIn(t, "../deploy/grafana/dashboards/*.json") {
			for _, query := range queriesOf(t, file) {
				for _, problem := range known.problems(query) {
					t.Errorf("%s: %s: %s", filepath.Base(file), query, problem)
				}
			}
		}
	})
}

// queriesOf are the expressions of a dashboard's panels, and the series that its variables take their values from.
func queriesOf(t *testing.T, file string) (queries []string) {
	t.Helper()
	var d struct {
		Panels     []struct{ Targets []struct{ Expr string } }
		Templating struct{ List []struct{ Definition string } }
	}
	require.NoError(t, json.Unmarshal(readFile(t, file), &d), file)
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, v := range d.Templating.List {
		if match := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(v.Definition); match != nil {
			queries = append(queries, "count by ("+match[2]+") ("+match[1]+")")
		}
	}
	require.NotEmpty(t, queries, file)
	return queries
}

// Helm reads no file outside of its chart, so the chart has copies: of these bytes, and of no others.
//
//	go test ./metrics -run TestTheChart -update
func TestTheChartHasTheseRulesAndDashboards(t *testing.T) {
	for folder, pattern := range map[string]string{"prometheus": "../deploy/prometheus/*.rules.yaml", "dashboards": "../deploy/grafana/dashboards/*.json"} {
		copies := "../deploy/helm/invited/files/" + folder
		names := map[string]bool{}
		for _, file := range filesIn(t, pattern) {
			names[filepath.Base(file)] = true
			requireIs(t, filepath.Join(copies, filepath.Base(file)), string(readFile(t, file)))
		}
		for _, file := range filesIn(t, copies+"/*") {
			assert.True(t, names[filepath.Base(file)], "%s is a copy of nothing", file)
		}
	}
}

// A dashboard is changed in Grafana, exported, and read as a difference: so it has one form, and its panels keep their numbers.
func TestDashboardsAreWrittenInOneForm(t *testing.T) {
	uids := map[string]bool{}
	for _, file := range filesIn(t, "../deploy/grafana/dashboards/*.json") {
		content := readFile(t, file)
		var form bytes.Buffer
		require.NoError(t, json.Indent(&form, content, "", "  "), file)
		assert.Equal(t, form.String(), string(content), file)
		var d struct {
			UID    string
			Panels []struct {
				ID    int
				Title string
			}
		}
		require.NoError(t, json.Unmarshal(content, &d), file)
		assert.False(t, d.UID == "" || uids[d.UID], "%s: an identifier of its own, for links", file)
		uids[d.UID] = true
		ids := map[int]bool{}
		for _, p := range d.Panels {
			assert.False(t, p.ID == 0 || ids[p.ID], "%s: panel %d, %s", file, p.ID, p.Title)
			ids[p.ID] = true
		}
	}
}

func TestWhatConfiguresPrometheusAndGrafanaIsYAML(t *testing.T) {
	for _, file := range append(filesIn(t, "../deploy/grafana/provisioning/*/*.yaml"), "../deploy/prometheus/prometheus.yaml") {
		var content map[string]any
		require.NoError(t, yaml.UnmarshalWithOptions(readFile(t, file), &content, yaml.Strict()), file)
	}
}

func TestTheCheckOfNamesSeesWhatIsWrong(t *testing.T) {
	inFakeTime(t, func(t *testing.T, reg *prometheus.Registry) {
		known := vocabularyOf(t, reg)
		for query, want := range map[string]string{
			`sum by (title, le) (rate(invited_call_duration_seconds_bucket{le="5.0"}[5m])) > 0.1`:              "",
			`lane:invited_queue_oldest_seconds:max{lane="interactive"} > 60 and on () vector(1) offset 30m`:    "",
			`sum(invited_calls_total{result=~"sent|throttled",title="$title"}) unless on (title) up == bool 1`: "",
			`sum(rate(invited_calls[5m]))`:                               "no metric invited_calls",
			`sum by (sender) (invited_keys_blocked)`:                     "no label sender",
			`invited_keys_blocked{lane="bulk"}`:                          "invited_keys_blocked has no label lane",
			`invited_calls_total{result=~"sent|lost"}`:                   "invited_calls_total has no result lost",
			`x:invited_calls:rate5m > 0`:                                 "no metric x:invited_calls:rate5m",
			`invited_calls_in_flight_bucket`:                             "no metric invited_calls_in_flight_bucket",
			`count(invited_quota_bound) / invited_quota_bond * 1e3 or 2`: "no metric invited_quota_bond",
		} {
			assert.Equal(t, want, strings.Join(known.problems(query), ", "), query)
		}
	})
}

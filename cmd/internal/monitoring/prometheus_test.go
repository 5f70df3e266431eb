//go:build prometheus

package monitoring

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

const deploy = "../../../deploy/"

// secondsPerMinute is what a minute of the rules lasts here: with a scrape each second, the shortest window of 2 m has four samples.
const secondsPerMinute = 2

var durations = regexp.MustCompile(`\b(\d+)([mh])\b`)

// shorten makes seconds of a rule file's minutes and hours.
func shorten(rules string) string {
	return durations.ReplaceAllStringFunc(rules, func(d string) string {
		match := durations.FindStringSubmatch(d)
		n, _ := strconv.Atoi(match[1])
		if match[2] == "h" {
			n *= 60
		}
		return fmt.Sprint(n*secondsPerMinute, "s")
	})
}

// prometheus is a running server with the project's rules, shortened.
type prometheus struct {
	t   *testing.T
	url string
}

func startPrometheus(t *testing.T, workers ...*harness.Worker) *prometheus {
	t.Helper()
	dir := t.TempDir()
	files, err := filepath.Glob(deploy + "prometheus/*.rules.yaml")
	require.NoError(t, err)
	require.Len(t, files, 2)
	for _, file := range files {
		rules, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(shorten(string(rules))), 0o600))
	}
	targets := make([]string, len(workers))
	for i, w := range workers {
		targets[i] = strconv.Quote(strings.TrimPrefix(w.Admin, "http://"))
	}
	config := fmt.Sprintf("global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}\nrule_files: [recording.rules.yaml, alerts.rules.yaml]\n"+
		"scrape_configs: [{job_name: invited, static_configs: [{targets: [%s]}]}]\n", strings.Join(targets, ", "))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "prometheus.yaml"), []byte(config), 0o600))

	address := embeddedtest.FreeAddress(t)
	p := &prometheus{t, "http://" + address}
	harness.Installed(t, "prometheus", "--config.file", filepath.Join(dir, "prometheus.yaml"),
		"--storage.tsdb.path", filepath.Join(dir, "data"), "--web.listen-address", address).Start()
	harness.Until(t, 20*time.Second, "Prometheus is ready", func() bool {
		status, _ := harness.Get(t, p.url+"/-/ready")
		return status == http.StatusOK
	})
	return p
}

// answers is how many series a query has that are numbers. A query that Prometheus does not understand fails the test.
func (p *prometheus) answers(query string) (n int) {
	p.t.Helper()
	for _, r := range p.ask(query) {
		if r.Value[1] != "NaN" {
			n++
		}
	}
	return n
}

type series struct {
	Metric map[string]string
	Value  [2]any
}

func (p *prometheus) ask(query string) []series {
	p.t.Helper()
	status, body := harness.Get(p.t, p.url+"/api/v1/query?query="+url.QueryEscape(query))
	require.Equal(p.t, http.StatusOK, status, "%s: %s", query, body)
	var answer struct{ Data struct{ Result []series } }
	require.NoError(p.t, json.Unmarshal([]byte(body), &answer), "%s: %s", query, body)
	return answer.Data.Result
}

// firing are the alerts that fire, by name, with their summaries.
func (p *prometheus) firing() map[string]string {
	p.t.Helper()
	status, body := harness.Get(p.t, p.url+"/api/v1/alerts")
	require.Equal(p.t, http.StatusOK, status, body)
	var answer struct {
		Data struct {
			Alerts []struct {
				State               string
				Labels, Annotations map[string]string
			}
		}
	}
	require.NoError(p.t, json.Unmarshal([]byte(body), &answer))
	firing := map[string]string{}
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			firing[a.Labels["alertname"]] = a.Annotations["summary"]
		}
	}
	return firing
}

package chart_test

import (
	"encoding/base64"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
)

// Values as people have them: names that are numbers or words of YAML, long ones, addresses that a policy is in the way of.

// To YAML, 123 and 1e3 are numbers, "on" and "y" are true, and null is nothing.
func TestANameThatMeansSomethingElseToYAMLIsAName(t *testing.T) {
	for _, name := range []string{"123", "1e3", "0x10", "on", "true", "null"} {
		r, err := renderAs(name, name, minimal, ci(t, "full"))
		require.NoError(t, err, name)
		assert.Empty(t, conform(t, r.text), name)
		r = mustRender(t, minimal, strings.ReplaceAll(`{priorityClassName: "X", serviceAccount: {name: "X"},
			secrets: {natsURL: {existingSecret: "X", key: "X"}, authorization: {existingSecret: "X", key: "X"},
			natsCredentials: {existingSecret: "X", key: "X"}, tokens: {existingSecret: "X"}, natsTLS: {existingSecret: "X", ca: "X"}}}`, "X", name))
		assert.Empty(t, conform(t, r.text), name)
	}
}

// A token file of another name is another sender's, or nobody's.
func TestASendersTokenFileHasHisNameWhateverYAMLMakesOfIt(t *testing.T) {
	r := mustRender(t, minimal, `secrets: {tokens: {values: {"on": a, "0123": b, "1e3": c, "1_000": d, "y": e, "null": f, "2533274790395904": g, "-": h}}}`)
	kept := map[string]string{}
	for sender, token := range r.only(t, "Secret").at(t, "data").(map[string]any) {
		plain, err := base64.StdEncoding.DecodeString(token.(string))
		require.NoError(t, err)
		kept[sender] = string(plain)
	}
	assert.Equal(t, map[string]string{
		"on": "a", "0123": "b", "1e3": "c", "1_000": "d", "y": "e", "null": "f", "2533274790395904": "g", "-": "h",
	}, kept)
}

// The API takes such a name for a Service, and such a label; no schema says so.
func TestNamesAndLabelsAreWhatTheAPITakesWhateverTheReleaseIsCalled(t *testing.T) {
	name := regexp.MustCompile(`^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$`)
	label := regexp.MustCompile(`^[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?$`)
	for release, values := range map[string]string{
		"my.release":                      "{}",
		"2026":                            "{}",
		strings.Repeat("a", 43) + "--b":   "{}",
		strings.Repeat("a", 43) + ".-b":   "{}",
		strings.Repeat("a", 53):           "{}",
		"invited":                         "image: {tag: " + strings.Repeat("v", 62) + ".-" + strings.Repeat("9", 60) + "}",
		"b":                               "nameOverride: " + strings.Repeat("n", 60),
		"c":                               "fullnameOverride: " + strings.Repeat("f", 44) + "-" + strings.Repeat("f", 18),
		"cups-and-more-cups-of-all-games": "nameOverride: games-of-ours",
	} {
		r, err := renderAs(release, "play", minimal, ci(t, "full"), values)
		require.NoError(t, err, release)
		for _, o := range r.objects {
			if o.kind() == "Service" || o.kind() == "Deployment" {
				assert.Regexp(t, name, o.name(), "%s of release %s", o.kind(), release)
			}
			for key, value := range o.at(t, "metadata", "labels").(map[string]any) {
				assert.Regexp(t, label, value, "%s: %s of release %s", o.kind(), key, release)
			}
		}
	}
}

// Large numbers come through Helm as they are, and not as 1e+08.
func TestNumbersStayAsTheyAre(t *testing.T) {
	r := mustRender(t, minimal, `config: {nats: {stream_max_bytes: 100000000000}, quota: {titles: {"4294967295": {max_in_flight: 8}}}}`)
	assert.Contains(t, r.configuration(t), "stream_max_bytes: 100000000000\n")
	assert.Contains(t, r.configuration(t), `"4294967295":`)
	r = mustRender(t, minimal, `keda: {enabled: true, jobsPerWorker: 100000000, prometheus: {serverAddress: "http://p:9090/#x: y"}}`)
	trigger := object(r.only(t, "ScaledObject").at(t, "spec", "triggers", 0, "metadata").(map[string]any))
	assert.Contains(t, trigger.at(t, "query"), "/ 100000000)")
	assert.Equal(t, "http://p:9090/#x: y", trigger.at(t, "serverAddress"))
}

// A chart that has this one as a part turns it off by a condition, invited.enabled, which becomes a value of this chart.
func TestItMayBeAPartOfAnotherChart(t *testing.T) {
	assert.NotEmpty(t, mustRender(t, minimal, "{enabled: true, global: {imageRegistry: x}}").objects)
}

func TestADefaultCanBeTakenAway(t *testing.T) {
	r := mustRender(t, minimal, "{resources: null, probes: {startup: null}, config: {log: null}}")
	assert.Empty(t, conform(t, r.text))
	assert.NotContains(t, r.configuration(t), "log:")
}

// Where a policy is in the way, connections time out, and nothing says why.
func TestAnAddressThatThePolicyIsInTheWayOfIsRefused(t *testing.T) {
	collector := func(address string) string {
		return `extraEnv: [{name: OTEL_EXPORTER_OTLP_ENDPOINT, value: "` + address + `"}]`
	}
	for values, want := range map[string]string{
		`config: {nats: {url: "tls://a.nats:4222,tls://b.nats:4333"}}`:        "config.nats.url has port 4333",
		`secrets: {natsURL: {value: "tls://w:s3cret@nats:4333"}}`:             "secrets.natsURL.value has port 4333",
		`config: {nats: {url: "wss://nats.example"}}`:                         "config.nats.url has port 443",
		`config: {xbl: {base_url: "https://xblsim.staging.example:8443"}}`:    "config.xbl.base_url has port 8443",
		`config: {tokens: {http: {url: "https://broker/{sender}?at=1"}}}`:     "config.tokens.http.url is in the cluster",
		`config: {tokens: {http: {url: "https://broker.auth.svc/{sender}"}}}`: "config.tokens.http.url is in the cluster",
		collector("http://otel-collector.monitoring:4318"):                    "OTEL_EXPORTER_OTLP_ENDPOINT has port 4318",
		`extraEnv: [{name: https_proxy, value: "proxy.example:3128"}]`:        "https_proxy has port 3128",
		collector("http://otel-collector.monitoring"):                         "OTEL_EXPORTER_OTLP_ENDPOINT has port 80",
	} {
		_, err := render(minimal, values)
		require.ErrorContains(t, err, want, values)
		assert.NotContains(t, err.Error(), "s3cret")
		mustRender(t, minimal, values, "networkPolicy: {enabled: false}")
		mustRender(t, minimal, values, "networkPolicy: {extraEgress: [{ports: [{port: 4318, protocol: TCP}]}]}")
	}
	_, err := render(`{config: {nats: {url: "tls://nats.example"}}, networkPolicy: {natsPorts: [4333]}}`)
	require.ErrorContains(t, err, "config.nats.url has port 4222", "which is NATS' own")
	for _, values := range []string{
		`{config: {nats: {url: "tls://a.nats:4333"}}, networkPolicy: {natsPorts: [4333]}}`,
		`{config: {nats: {url: "ws://a.nats,ws://b.nats"}}, networkPolicy: {natsPorts: [80]}}`,
		`config: {nats: {url: "tls://nats.example"}}`,
		`config: {nats: {url: "${NATS}"}}`,
		`config: {xbl: {base_url: "http://127.0.0.1:8080"}}`,
		`config: {tokens: {http: {url: "https://broker.example/?sender={sender}"}}}`,
		collector("https://api.traces.example"), collector("http://localhost:4318"), collector("http://$(HOST_IP):4318"),
	} {
		mustRender(t, minimal, values)
	}
}

func TestMoreThatWouldInstallAndNotWorkIsRefused(t *testing.T) {
	for values, want := range map[string]string{
		`config: {tokens: {http: {url: "https://u:s3cret@b.example/{sender}"}}}`: "would stand in a ConfigMap",
		"serviceMonitor: {enabled: true, interval: 5s}":                          "scrapeTimeout (10s) is more than",
		"config: {admin: {listen: '0.0.0.0:99999'}}":                             "port 99999",
		"extraEnv: [{name: INVITED_ADMIN_LISTEN, value: '0.0.0.0:9000'}]":        "config.admin.listen",
		"extraEnv: [{value: x}]":                                                 "name",
		"podLabels: {app.kubernetes.io/name: other}":                             "app.kubernetes.io/name",
		"podAnnotations: {checksum/config: mine}":                                "checksum/config",
		"image: {tag: 'v1@sha256:abc'}":                                          "tag",
		`image: {repository: "x\n  hostNetwork: true #"}`:                        "repository",
		"fullnameOverride: 9lives":                                               "fullnameOverride",
		"nameOverride: a.b":                                                      "nameOverride",
	} {
		_, err := render(minimal, values)
		assert.ErrorContains(t, err, want, values)
	}
}

// The chart refuses sections that it does not know, so it must know all.
func TestEachSectionOfTheConfigurationIsKnown(t *testing.T) {
	for section := range reflect.TypeFor[configs.Config]().Fields() {
		mustRender(t, minimal, "config: {"+section.Tag.Get("yaml")+": {}}")
	}
}

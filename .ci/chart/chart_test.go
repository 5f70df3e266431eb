// Package chart_test checks deploy/helm/invited: rendered by Helm's own engine, each object against the API's schema (kubeconform, strict),
// the configuration by invited itself, KEDA's query by promtool. No cluster is asked. The gate's step chart runs it:
//
//	bash .ci/run chart
package chart_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/yannh/kubeconform/pkg/validator"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/lint"
	"helm.sh/helm/v3/pkg/lint/support"
	"sigs.k8s.io/yaml"

	"github.com/invitedhq/invited/configs"
)

func TestWithTheLeastValuesThereIsOnlyWhatEveryClusterKnows(t *testing.T) {
	assert.Equal(t, []string{
		"ConfigMap games-invited",
		"Deployment games-invited",
		"NetworkPolicy games-invited",
		"PodDisruptionBudget games-invited",
		"ServiceAccount games-invited",
	}, mustRender(t, ci(t, "minimal")).kinds())
}

func TestWithEverythingOnEachKindIsThere(t *testing.T) {
	kinds := mustRender(t, ci(t, "full")).kinds()
	t.Log("\n" + strings.Join(kinds, "\n"))
	assert.Equal(t, []string{
		"ConfigMap games-invited",
		"ConfigMap games-invited-dashboard-overview",
		"ConfigMap games-invited-dashboard-title",
		"Deployment games-invited",
		"NetworkPolicy games-invited",
		"PodDisruptionBudget games-invited",
		"PrometheusRule games-invited-alerts",
		"PrometheusRule games-invited-recording",
		"ScaledObject games-invited",
		"Secret games-invited-authorization",
		"Secret games-invited-nats-credentials",
		"Secret games-invited-nats-url",
		"Secret games-invited-tokens",
		"Service games-invited",
		"ServiceAccount games-invited",
		"ServiceMonitor games-invited",
	}, kinds)
}

func TestWhatCanBeTurnedOffIsGone(t *testing.T) {
	r := mustRender(t, minimal, `{podDisruptionBudget: {enabled: false}, networkPolicy: {enabled: false}, serviceAccount: {create: false}, topologySpread: {enabled: false}}`)
	assert.Equal(t, []string{"ConfigMap games-invited", "Deployment games-invited"}, r.kinds())
	pod := r.only(t, "Deployment")
	assert.Equal(t, "default", pod.at(t, "spec", "template", "spec", "serviceAccountName"))
	assert.Nil(t, pod.at(t, "spec", "template", "spec", "topologySpreadConstraints"))
}

// Strict: what the API does not know is refused, in every object of every kind. No kind is skipped.
func TestEachObjectIsWhatTheAPITakes(t *testing.T) {
	for _, name := range []string{"minimal", "full"} {
		for _, problem := range conform(t, mustRender(t, ci(t, name)).text) {
			t.Errorf("%s: %s", name, problem)
		}
	}
	assert.Contains(t, strings.Join(conform(t, map[string]string{"x": "{apiVersion: policy/v1, kind: PodDisruptionBudget, metadata: {name: x}, spec: {maxUnavailabel: 1}}"}), " "),
		"maxUnavailabel", "the check sees a misspelt field")
	assert.Contains(t, strings.Join(conform(t, map[string]string{"x": "{apiVersion: keda.sh/v1alpha1, kind: ScaledObject, metadata: {name: x}, spec: {scaleTargetRef: {name: x}}}"}), " "),
		"triggers", "the check misses what has to be there")
}

func conform(t *testing.T, text map[string]string) (problems []string) {
	t.Helper()
	v, err := validator.New([]string{"schemas/{{.ResourceKind}}{{.KindSuffix}}.json"}, validator.Opts{Strict: true})
	require.NoError(t, err)
	for template, manifest := range text {
		if strings.HasSuffix(template, "NOTES.txt") {
			continue
		}
		for _, result := range v.Validate(template, io.NopCloser(strings.NewReader(manifest))) {
			switch result.Status {
			case validator.Valid, validator.Empty:
			default:
				signature, _ := result.Resource.Signature()
				problems = append(problems, template+": "+signature.QualifiedName()+": "+result.Err.Error())
			}
		}
	}
	return problems
}

// As helm lint --strict does, in which warnings count.
func TestHelmsLintHasNothingToSay(t *testing.T) {
	for _, name := range []string{"minimal", "full"} {
		values, err := chartutil.ReadValues([]byte(ci(t, name)))
		require.NoError(t, err)
		for _, m := range lint.All(dir, values, "play", true).Messages {
			assert.Less(t, m.Severity, support.WarningSev, "%s: %s: %v", name, m.Path, m.Err)
		}
	}
}

// What the restricted level of the Pod Security Standards asks for, and a root file system that nobody writes to.
func TestPodsAreRestricted(t *testing.T) {
	d := mustRender(t, ci(t, "full")).only(t, "Deployment")
	pod := object(d.at(t, "spec", "template", "spec").(map[string]any))
	assert.Equal(t, false, pod.at(t, "automountServiceAccountToken"))
	assert.Equal(t, true, pod.at(t, "securityContext", "runAsNonRoot"))
	dockerfile, err := os.ReadFile(repository + "/deploy/docker/Dockerfile")
	require.NoError(t, err)
	assert.Contains(t, string(dockerfile), fmt.Sprintf("USER %v:%v\n", pod.at(t, "securityContext", "runAsUser"), pod.at(t, "securityContext", "runAsGroup")))
	assert.Equal(t, "RuntimeDefault", pod.at(t, "securityContext", "seccompProfile", "type"))
	for _, forbidden := range []string{"hostNetwork", "hostPID", "hostIPC"} {
		assert.Nil(t, pod.at(t, forbidden))
	}
	require.Len(t, pod.at(t, "containers"), 1)
	assert.Equal(t, map[string]any{
		"allowPrivilegeEscalation": false,
		"readOnlyRootFilesystem":   true,
		"capabilities":             map[string]any{"drop": []any{"ALL"}},
	}, pod.at(t, "containers", 0, "securityContext"))
	for _, v := range pod.at(t, "volumes").([]any) {
		if secret, ok := v.(map[string]any)["secret"].(map[string]any); ok {
			assert.EqualValues(t, 0o440, secret["defaultMode"], "invited refuses a token file that everybody may read")
		}
	}
}

func TestAPodHasLongerThanTheGraceOfItsCallsToStop(t *testing.T) {
	for grace, want := range map[string]int{
		"20s": 40, "0s": 20, "500ms": 21, "1500ms": 22, "1m30s": 110, "2m": 140, "10m": 620, "1h": 3620,
	} {
		d := mustRender(t, minimal, "config: {dispatch: {shutdown_grace: "+grace+"}}").only(t, "Deployment")
		assert.EqualValues(t, want, d.at(t, "spec", "template", "spec", "terminationGracePeriodSeconds"), grace)
	}
	d := mustRender(t, minimal).only(t, "Deployment")
	assert.EqualValues(t, 40, d.at(t, "spec", "template", "spec", "terminationGracePeriodSeconds"), "invited's own default")
}

func TestProbesAskWhatTheyAreFor(t *testing.T) {
	container := object(mustRender(t, minimal).only(t, "Deployment").at(t, "spec", "template", "spec", "containers", 0).(map[string]any))
	for probe, path := range map[string]string{"livenessProbe": "/livez", "startupProbe": "/livez", "readinessProbe": "/readyz"} {
		assert.Equal(t, map[string]any{"path": path, "port": "admin"}, container.at(t, probe, "httpGet"))
	}
	container = mustRender(t, minimal, `config: {admin: {listen: "[::]:9000"}}`).only(t, "Deployment").at(t, "spec", "template", "spec", "containers", 0).(map[string]any)
	assert.EqualValues(t, 9000, container.at(t, "ports", 0, "containerPort"), "the port of the configuration")
}

// A Deployment's selector can't be changed: an upgrade with another would fail.
func TestTheSelectorDependsOnNothingThatChanges(t *testing.T) {
	want := map[string]any{"app.kubernetes.io/name": "invited", "app.kubernetes.io/instance": "games"}
	for _, values := range []string{"{}", ci(t, "full"), "image: {tag: v9}"} {
		r := mustRender(t, minimal, values)
		assert.Equal(t, want, r.only(t, "Deployment").at(t, "spec", "selector", "matchLabels"))
		assert.Subset(t, r.only(t, "Deployment").at(t, "spec", "template", "metadata", "labels"), want)
		assert.Equal(t, want, r.only(t, "PodDisruptionBudget").at(t, "spec", "selector", "matchLabels"))
		assert.Equal(t, want, r.only(t, "NetworkPolicy").at(t, "spec", "podSelector", "matchLabels"))
		for _, service := range r.all("Service") {
			assert.Equal(t, want, service.at(t, "spec", "selector"))
			assert.Subset(t, service.at(t, "metadata", "labels"), r.only(t, "ServiceMonitor").at(t, "spec", "selector", "matchLabels"))
		}
	}
}

func TestAChangedConfigurationReplacesThePodsAndATokenFileDoesNot(t *testing.T) {
	annotations := func(values ...string) any {
		return mustRender(t, append([]string{minimal}, values...)...).only(t, "Deployment").at(t, "spec", "template", "metadata", "annotations")
	}
	first := annotations("secrets: {tokens: {values: {ada: first}}}")
	assert.Equal(t, first, annotations("secrets: {tokens: {values: {ada: second}}}"), "it is read again while the worker runs")
	assert.NotEqual(t, first, annotations("secrets: {tokens: {values: {ada: first}}}", "config: {quota: {max_in_flight: 5}}"))
	assert.NotEqual(t, first, annotations("secrets: {tokens: {values: {ada: first}}, natsURL: {value: 'tls://w:p@nats'}}"), "an environment is read once")
}

func TestSecretsAreInSecretsOnly(t *testing.T) {
	r := mustRender(t, ci(t, "full"))
	kept := map[string]string{}
	for _, o := range r.objects {
		text, err := yaml.Marshal(o)
		require.NoError(t, err)
		if o.kind() != "Secret" {
			for _, secret := range []string{"p-of-nats", "c-of-nats", "a-token"} {
				assert.NotContains(t, string(text), secret, "%s %s", o.kind(), o.name())
			}
			continue
		}
		for key, value := range o.at(t, "data").(map[string]any) {
			plain, err := base64.StdEncoding.DecodeString(value.(string))
			require.NoError(t, err)
			kept[o.name()+"/"+key] = string(plain)
		}
	}
	assert.NotContains(t, r.notes, "a-token")
	assert.Equal(t, map[string]string{
		"games-invited-authorization/authorization":   "XBL3.0 x=1;a-token",
		"games-invited-nats-credentials/worker.creds": "c-of-nats",
		"games-invited-nats-url/url":                  "tls://worker:p-of-nats@nats.nats.svc:4222",
		"games-invited-tokens/ada":                    "XBL3.0 x=2;a-token",
	}, kept)
}

func TestSecretsThatAreThereAreUsedAndNoneIsMade(t *testing.T) {
	r := mustRender(t, `secrets: {natsURL: {existingSecret: url, value: ignored}, natsCredentials: {existingSecret: c}, authorization: {existingSecret: a, key: k}, tokens: {existingSecret: t}}`)
	assert.Empty(t, r.all("Secret"))
	pod := object(r.only(t, "Deployment").at(t, "spec", "template", "spec").(map[string]any))
	assert.Equal(t, []any{
		map[string]any{"name": "INVITED_NATS_URL", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "url", "key": "url"}}},
		map[string]any{"name": "XBL_AUTHORIZATION", "valueFrom": map[string]any{"secretKeyRef": map[string]any{"name": "a", "key": "k"}}},
	}, pod.at(t, "containers", 0, "env"))
	assert.Equal(t, "c", pod.at(t, "volumes", 1, "secret", "secretName"))
	assert.Equal(t, "t", pod.at(t, "volumes", 2, "secret", "secretName"))
}

// What is rendered is read as invited reads it, with the environment that the pods have.
func TestTheConfigurationIsOneThatInvitedTakes(t *testing.T) {
	load := func(r rendering, env map[string]string) (configs.Config, configs.Warnings, error) {
		file := filepath.Join(t.TempDir(), "invited.yaml")
		require.NoError(t, os.WriteFile(file, []byte(r.configuration(t)), 0o600))
		return configs.Load(file, func(name string) (string, bool) {
			value, set := env[name]
			return value, set
		})
	}
	_, warnings, err := load(mustRender(t, ci(t, "minimal")), map[string]string{"XBL_AUTHORIZATION": "XBL3.0 x=1;t"})
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	assert.Contains(t, warnings[0].String(), "other machines can reach this address", "that is what it is for, and the NetworkPolicy's business")

	cfg, _, err := load(mustRender(t, ci(t, "full")), map[string]string{"INVITED_NATS_URL": "tls://worker:p@nats:4222"})
	require.NoError(t, err)
	assert.Equal(t, "/run/secrets/nats-credentials/worker.creds", cfg.NATS.CredentialsFile)
	assert.Equal(t, "/run/secrets/nats-tls/ca.crt", cfg.NATS.TLS.CAFile)
	assert.Equal(t, "/run/secrets/nats-tls/tls.crt", cfg.NATS.TLS.CertFile)
	assert.Equal(t, "/run/secrets/nats-tls/tls.key", cfg.NATS.TLS.KeyFile)
	assert.Equal(t, configs.TokensFile, cfg.Tokens.Source)
	assert.Equal(t, "/run/secrets/xbl", cfg.Tokens.File.Dir)
	assert.Equal(t, "0.0.0.0:9464", cfg.Admin.Listen)
	assert.Equal(t, 90*time.Second, cfg.Dispatch.ShutdownGrace)
	assert.Equal(t, 64, cfg.NATS.Partitions)

	_, _, err = load(mustRender(t, minimal, "config: {quota: {max_in_flite: 5}}"), nil)
	require.ErrorContains(t, err, "max_in_flite", "what the chart does not know, invited refuses")
}

// The chart works with the defaults of invited where its own values say nothing.
func TestDefaultsAreInvitedsOwn(t *testing.T) {
	cfg, _, err := configs.Parse("empty", nil, func(string) (string, bool) { return "", false })
	require.NoError(t, err)
	assert.Equal(t, 20*time.Second, cfg.Dispatch.ShutdownGrace, "as invited.terminationSeconds has it")
	assert.Equal(t, 16, cfg.NATS.Partitions, "as invited.partitions has it")
}

func TestWrongValuesAreRefusedInWords(t *testing.T) {
	for values, want := range map[string]string{
		"replicas: 3":                                    "replicas",
		"replicaCount: two":                              "replicaCount",
		"image: {pullPolicy: Sometimes}":                 "pullPolicy",
		"image: {digest: abc}":                           "digest",
		"config: {natz: {}}":                             "natz",
		"config: {dispatch: {shutdown_grace: 20}}":       "shutdown_grace",
		"config: {admin: {listen: anywhere}}":            "listen",
		"secrets: {tokens: {values: {ad/a: x}}}":         "ad/a",
		"secrets: {tokens: {existing: x}}":               "existing",
		"serviceMonitor: {interval: 1m}":                 "interval",
		"keda: {minReplicas: 0}":                         "minReplicas",
		"terminationMarginSeconds: 1":                    "terminationMarginSeconds",
		"networkPolicy: {natsPorts: []}":                 "natsPorts",
		`config: {nats: {url: ""}}`:                      "say where NATS is",
		`config: {nats: {url: "tls://w:p@nats:4222"}}`:   "use secrets.natsURL",
		"config: {tokens: {static: {authorization: x}}}": "use secrets.authorization",
		"config: {admin: {listen: '127.0.0.1:9464'}}":    "on loopback",
		"replicaCount: 17":                               "replicaCount is 17, but only config.nats.partitions (16)",
		"keda: {enabled: true}":                          "keda.prometheus.serverAddress is empty",
		"{keda: {enabled: true, maxReplicas: 17, prometheus: {serverAddress: 'http://p'}}}": "keda.maxReplicas is 17",
		"{keda: {enabled: true, minReplicas: 9, prometheus: {serverAddress: 'http://p'}}}":  "keda.minReplicas is more",
	} {
		_, err := render(minimal, values)
		if assert.Error(t, err, values) {
			assert.Contains(t, err.Error(), want, values)
		}
	}
}

// A value that is not in values.yaml would have no comment; one that the schema does not have is refused.
func TestEachValueHasItsDefaultAndItsSchema(t *testing.T) {
	loaded, err := loader.LoadDir(dir)
	require.NoError(t, err)
	var schema object
	require.NoError(t, yaml.Unmarshal(loaded.Schema, &schema))
	known := schema.at(t, "properties").(map[string]any)
	delete(known, "global")
	delete(known, "enabled") // of a chart that has this one as a part
	for name := range known {
		assert.Contains(t, loaded.Values, name)
	}
	assert.Len(t, loaded.Values, len(known))
	assert.NoError(t, loaded.Validate())
	assert.NotContains(t, names(loaded.Files), "ci/full-values.yaml", "test values are not shipped")
}

func names(files []*chart.File) (all []string) {
	for _, f := range files {
		all = append(all, f.Name)
	}
	return all
}

func TestRulesAndDashboardsAreTheProjectsToTheByte(t *testing.T) {
	r := mustRender(t, ci(t, "full"))
	for _, rule := range r.all("PrometheusRule") {
		var want any
		text, err := os.ReadFile(repository + "/deploy/prometheus/" + strings.TrimPrefix(rule.name(), "games-invited-") + ".rules.yaml")
		require.NoError(t, err)
		require.NoError(t, yaml.Unmarshal(text, &want))
		assert.Equal(t, want, rule.at(t, "spec"))
	}
	for _, name := range []string{"overview", "title"} {
		want, err := os.ReadFile(repository + "/deploy/grafana/dashboards/" + name + ".json")
		require.NoError(t, err)
		i := slices.IndexFunc(r.objects, func(o object) bool { return o.name() == "games-invited-dashboard-"+name })
		assert.Equal(t, strings.TrimSpace(string(want)), strings.TrimSpace(r.objects[i].at(t, "data", "invited-"+name+".json").(string)))
		assert.Equal(t, "1", r.objects[i].at(t, "metadata", "labels", "grafana_dashboard"))
	}
	assert.Equal(t, "invited", r.only(t, "ServiceMonitor").at(t, "spec", "endpoints", 0, "relabelings", 0, "replacement"), "the rules know the workers by this name")
}

func TestTheNetworkIsOpenOnlyWhereItMustBe(t *testing.T) {
	p := mustRender(t, minimal).only(t, "NetworkPolicy")
	assert.Equal(t, []any{"Ingress", "Egress"}, p.at(t, "spec", "policyTypes"))
	require.Len(t, p.at(t, "spec", "ingress"), 1)
	assert.Equal(t, "monitoring", p.at(t, "spec", "ingress", 0, "from", 0, "namespaceSelector", "matchLabels", "kubernetes.io/metadata.name"))
	var ports []any
	for i := range p.at(t, "spec", "egress").([]any) {
		for _, port := range p.at(t, "spec", "egress", i, "ports").([]any) {
			ports = append(ports, port.(map[string]any)["port"])
		}
	}
	assert.EqualValues(t, []any{53.0, 53.0, 4222.0, 443.0}, ports)
	assert.Empty(t, mustRender(t, minimal, "networkPolicy: {metricsFrom: []}").only(t, "NetworkPolicy").at(t, "spec", "ingress"), "[] is nobody, not everybody")
}

func TestNotesSayWhatIsMissing(t *testing.T) {
	assert.Contains(t, mustRender(t, minimal).notes, "NO TOKEN is configured")
	assert.NotContains(t, mustRender(t, ci(t, "full")).notes, "NO TOKEN")
	assert.Contains(t, mustRender(t, ci(t, "full")).notes, "KEDA keeps 2 to 32 workers")
	assert.Contains(t, mustRender(t, minimal, "prometheusRule: {enabled: true}").notes, "serviceMonitor.enabled is false")
}

// KEDA's own number and the Deployment's would take turns.
func TestWithKEDATheDeploymentHasNoReplicas(t *testing.T) {
	assert.EqualValues(t, 2, mustRender(t, minimal).only(t, "Deployment").at(t, "spec", "replicas"))
	r := mustRender(t, ci(t, "full"))
	assert.Nil(t, r.only(t, "Deployment").at(t, "spec", "replicas"))
	assert.Equal(t, r.only(t, "Deployment").name(), r.only(t, "ScaledObject").at(t, "spec", "scaleTargetRef", "name"))
}

// The query as it is rendered, asked by promtool of written series: how many workers are wanted.
func TestKEDAWantsNoMoreWorkersWhileTheQuotaIsWhatHoldsThemUp(t *testing.T) {
	query := mustRender(t, ci(t, "full")).only(t, "ScaledObject").at(t, "spec", "triggers", 0, "metadata", "query")
	type series map[string]string
	workers := series{`invited_partitions_owned{job="invited",instance="a"}`: "8", `invited_partitions_owned{job="invited",instance="b"}`: "8"}
	bound := series{`invited_quota_bound{job="invited",instance="a"}`: "1", `invited_quota_bound{job="invited",instance="b"}`: "0"}
	free := series{`invited_quota_bound{job="invited",instance="a"}`: "0", `invited_quota_bound{job="invited",instance="b"}`: "0"}
	waiting := func(interactive, bulk, held string) series {
		s := series{}
		for _, instance := range []string{"a", "b"} { // each says the same of the whole queue
			labels := `{job="invited",instance="` + instance + `",title="730"`
			s["invited_queue_jobs"+labels+`,lane="interactive"}`] = interactive
			s["invited_queue_jobs"+labels+`,lane="bulk"}`] = bulk
			s["invited_queue_held_jobs"+labels+`}`] = held
		}
		return s
	}
	type check struct {
		name   string
		series []series
		want   []any // none: no answer
	}
	var tests []any
	for _, c := range []check{
		{"much waits, and quota is free", []series{workers, free, waiting("100", "4500", "0")}, []any{5}},
		{"much waits, for quota alone", []series{workers, bound, waiting("100", "4500", "0")}, []any{2}},
		{"little waits, for quota alone", []series{workers, bound, waiting("0", "10", "0")}, []any{1}},
		{"as much waits as there are workers for", []series{workers, free, waiting("0", "2000", "0")}, []any{2}},
		{"all that waits is paused", []series{workers, free, waiting("0", "9000", "9000")}, []any{0}},
		{"nothing has ever been published", []series{workers, free}, []any{0}},
		{"no worker is known", []series{}, nil},
	} {
		var input []any
		for _, some := range c.series {
			for name, value := range some {
				input = append(input, map[string]any{"series": name, "values": value + "x10"})
			}
		}
		samples := []any{}
		for _, value := range c.want {
			samples = append(samples, map[string]any{"labels": "{}", "value": value})
		}
		tests = append(tests, map[string]any{"name": c.name, "interval": "30s", "input_series": input, "promql_expr_test": []any{
			map[string]any{"expr": query, "eval_time": "2m", "exp_samples": samples},
		}})
	}
	text, err := yaml.Marshal(map[string]any{"evaluation_interval": "30s", "tests": tests})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "keda.yaml")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	said, err := exec.Command("promtool", "test", "rules", file).CombinedOutput()
	require.NoError(t, err, "%s", bytes.TrimSpace(said))
}

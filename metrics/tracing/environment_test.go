package tracing_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/metrics/tracing"
)

func TestNothingIsTracedUnlessTheVariablesAskForIt(t *testing.T) {
	for variables, on := range map[string]bool{
		"": false,
		"OTEL_SERVICE_NAME=invited OTEL_TRACES_SAMPLER=always_on":                     false,
		"OTEL_TRACES_EXPORTER=otlp":                                                   true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318":                           true,
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://collector:4318/v1/traces":          true,
		"OTEL_EXPORTER_OTLP_ENDPOINT=":                                                false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_TRACES_EXPORTER=none": false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_SDK_DISABLED=true":    false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_SDK_DISABLED=True":    false,
		"OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 OTEL_SDK_DISABLED=false":   true,
		"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=http://collector:4318":                   false,
		"OTEL_TRACES_EXPORTER=otlp OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf":         true,
	} {
		f := &fixture{collector: collector{t: t}}
		tracer := f.start(variables, tracing.Options{})
		assert.Equal(t, on, tracer != nil, variables)
		assert.NotContains(t, f.log.String(), "WARN", variables)
		if !on {
			assert.Same(t, &f.told, tracer.Observe(&f.told), "a worker that does not trace does not even ask whether it does")
			assert.Empty(t, f.log.String(), variables)
		}
		tracer.Shutdown()
		assert.Empty(t, f.requests, "nothing is sent before there is something to send")
	}
}

func TestAVariableThatCantBeUsedIsNamedAndHoldsUpNoWork(t *testing.T) {
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(notPEM, []byte("none"), 0o600))
	const to = "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318 "
	for variables, want := range map[string]struct {
		variable, says string
		on             bool
	}{
		to + "OTEL_SDK_DISABLED=yes":                                        {"OTEL_SDK_DISABLED", "true or false", true},
		to + "OTEL_TRACES_EXPORTER=zipkin":                                  {"OTEL_TRACES_EXPORTER", "only otlp and none", false},
		to + "OTEL_EXPORTER_OTLP_PROTOCOL=grpc":                             {"OTEL_EXPORTER_OTLP_PROTOCOL", "port 4318", false},
		to + "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json":                 {"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "only http/protobuf", false},
		"OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317":                        {"OTEL_EXPORTER_OTLP_ENDPOINT", "no address like", false},
		"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://u:s3cret@%zz":            {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "no address like", false},
		to + "OTEL_EXPORTER_OTLP_CERTIFICATE=/nowhere/ca.pem":               {"OTEL_EXPORTER_OTLP_CERTIFICATE", "no such file", false},
		to + "OTEL_EXPORTER_OTLP_CERTIFICATE=" + notPEM:                     {"OTEL_EXPORTER_OTLP_CERTIFICATE", "no certificate in PEM", false},
		to + "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + notPEM:                      {"OTEL_EXPORTER_OTLP_CLIENT_KEY", "certificate and key are needed", false},
		to + "OTEL_EXPORTER_OTLP_HEADERS=a=b,s3cret":                        {"OTEL_EXPORTER_OTLP_HEADERS", "header 2", true},
		to + "OTEL_EXPORTER_OTLP_HEADERS=a=s3cret%0d%0aX:y":                 {"OTEL_EXPORTER_OTLP_HEADERS", "header 1", true},
		to + "OTEL_EXPORTER_OTLP_HEADERS=a(=s3cret":                         {"OTEL_EXPORTER_OTLP_HEADERS", "header 1", true},
		to + "OTEL_EXPORTER_OTLP_COMPRESSION=zstd":                          {"OTEL_EXPORTER_OTLP_COMPRESSION", "not gzip or none", true},
		to + "OTEL_EXPORTER_OTLP_TIMEOUT=10s":                               {"OTEL_EXPORTER_OTLP_TIMEOUT", "it is 10000 now", true},
		to + "OTEL_BSP_MAX_QUEUE_SIZE=0":                                    {"OTEL_BSP_MAX_QUEUE_SIZE", "it is 2048 now", true},
		to + "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=99999999":                      {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "it is 512 now", true},
		to + "OTEL_BSP_SCHEDULE_DELAY=-1":                                   {"OTEL_BSP_SCHEDULE_DELAY", "it is 5000 now", true},
		to + "OTEL_TRACES_SAMPLER=sometimes":                                {"OTEL_TRACES_SAMPLER", "parentbased_always_on now", true},
		to + "OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=10%": {"OTEL_TRACES_SAMPLER_ARG", "from 0 to 1", true},
		to + "OTEL_TRACES_SAMPLER=traceidratio OTEL_TRACES_SAMPLER_ARG=NaN": {"OTEL_TRACES_SAMPLER_ARG", "from 0 to 1", true},
	} {
		f := &fixture{collector: collector{t: t}}
		tracer := f.start(variables, tracing.Options{})
		assert.Equal(t, want.on, tracer != nil, variables)
		tracer.Shutdown()
		assert.Equal(t, 1, strings.Count(f.log.String(), "WARN"), "%s: %s", variables, f.log.String())
		assert.Contains(t, f.log.String(), "variable="+want.variable+" ")
		assert.Contains(t, f.log.String(), want.says)
		assert.Equal(t, !want.on, strings.Contains(f.log.String(), "no call is traced"), variables)
		assert.NotContains(t, f.log.String(), "s3cret")
	}
}

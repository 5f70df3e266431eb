package tracing

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/sdk/trace"
)

// settings are what the variables say.
type settings struct {
	endpoint *url.URL
	headers  http.Header
	tls      *tls.Config
	gzip     bool
	timeout  time.Duration // of one request
	sampler  trace.Sampler

	queue, batch         int // spans
	delay, exportTimeout time.Duration
}

// environment reads variables. One that is empty is not set, as OpenTelemetry has it.
type environment struct {
	lookup func(string) (string, bool)
	log    *slog.Logger
}

func (e *environment) get(name string) string {
	value, ok := e.lookup(name)
	if !ok {
		return ""
	}
	return strings.TrimSpace(value)
}

// of reads OTEL_EXPORTER_OTLP_TRACES_x, or OTEL_EXPORTER_OTLP_x for all that is exported. value is empty where neither is set.
func (e *environment) of(x string) (name, value string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_" + x, "OTEL_EXPORTER_OTLP_" + x} {
		if value := e.get(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

const warning = "a variable of OpenTelemetry can't be used"

func (e *environment) warn(name, format string, args ...any) {
	e.log.Warn(warning, "variable", name, "problem", fmt.Sprintf(format, args...))
}

// read says whether calls are to be traced, and how.
func read(e *environment) (s settings, on bool) {
	if !e.wanted() {
		return s, false
	}
	if name, value := e.of("PROTOCOL"); value != "" && value != "http/protobuf" {
		e.warn(name, "it is %.40q, and only http/protobuf is spoken here, which collectors take on port 4318; no call is traced", value)
		return s, false
	}
	var ok bool
	if s.endpoint, ok = e.endpoint(); !ok {
		return s, false
	}
	if s.tls, ok = e.tls(); !ok {
		return s, false
	}
	s.headers = e.headers()
	s.gzip = e.gzip()
	s.sampler = e.sampler()
	timeout, value := e.of("TIMEOUT")
	s.timeout = e.milliseconds(timeout, value, 10_000)
	s.queue = e.number(bsp+"MAX_QUEUE_SIZE", e.get(bsp+"MAX_QUEUE_SIZE"), maxSpans, 2048)
	s.batch = min(e.number(bsp+"MAX_EXPORT_BATCH_SIZE", e.get(bsp+"MAX_EXPORT_BATCH_SIZE"), maxSpans, 512), s.queue)
	s.delay = e.milliseconds(bsp+"SCHEDULE_DELAY", e.get(bsp+"SCHEDULE_DELAY"), 5_000)
	s.exportTimeout = e.milliseconds(bsp+"EXPORT_TIMEOUT", e.get(bsp+"EXPORT_TIMEOUT"), 30_000)
	return s, true
}

func (e *environment) wanted() bool {
	const disabled, exporter = "OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER"
	switch value := e.get(disabled); strings.ToLower(value) {
	case "true":
		return false
	case "", "false":
	default:
		e.warn(disabled, "it is %.40q, not true or false", value)
	}
	switch value := e.get(exporter); value {
	case "":
		_, endpoint := e.of("ENDPOINT")
		return endpoint != ""
	case "otlp":
		return true
	case "none":
		return false
	default:
		e.warn(exporter, "it is %.40q, and there are only otlp and none here; no call is traced", value)
		return false
	}
}

// endpoint is where spans are posted.
func (e *environment) endpoint() (*url.URL, bool) {
	const one = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	name, value := e.of("ENDPOINT")
	if value == "" {
		value = "http://localhost:4318"
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		// It may hold a password, so it is not repeated.
		e.warn(name, "it is no address like http://collector:4318; no call is traced")
		return nil, false
	}
	if name != one {
		u = u.JoinPath("v1/traces")
	} else if u.Path == "" {
		u.Path = "/"
	}
	return u, true
}

// tls is how the collector and we show each other who we are. Without what was named for that, spans go nowhere.
func (e *environment) tls() (*tls.Config, bool) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if name, file := e.of("CERTIFICATE"); file != "" {
		text, err := os.ReadFile(file)
		if err != nil {
			e.warn(name, "%v; no call is traced", err)
			return nil, false
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(text) {
			e.warn(name, "%s has no certificate in PEM; no call is traced", file)
			return nil, false
		}
	}
	certificate, certFile := e.of("CLIENT_CERTIFICATE")
	key, keyFile := e.of("CLIENT_KEY")
	if certFile == "" && keyFile == "" {
		return c, true
	}
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		e.warn(or(certificate, key), "certificate and key are needed, and do not load: %v; no call is traced", err)
		return nil, false
	}
	c.Certificates = []tls.Certificate{pair}
	return c, true
}

func or(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// headers are name=value,name=value with escapes as in a URL. What is in them may be a password, so none is repeated.
func (e *environment) headers() http.Header {
	all := make(http.Header)
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} { // the second goes before
		text := e.get(name)
		if text == "" {
			continue
		}
		for i, pair := range strings.Split(text, ",") {
			key, value, found := strings.Cut(pair, "=")
			key = strings.TrimSpace(key)
			value, err := url.PathUnescape(strings.TrimSpace(value))
			if !found || err != nil || !isToken(key) || strings.ContainsFunc(value, isControl) {
				e.warn(name, "header %d is not name=value, with escapes as in a URL; it is left out", i+1)
				continue
			}
			all.Set(key, value)
		}
	}
	return all
}

func isToken(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r)
	})
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func (e *environment) gzip() bool {
	name, value := e.of("COMPRESSION")
	switch value {
	case "gzip":
		return true
	case "", "none":
	default:
		e.warn(name, "it is %.40q, not gzip or none; nothing is compressed", value)
	}
	return false
}

// sampler is the SDK's own, read here because the SDK would not say which variable is wrong.
func (e *environment) sampler() trace.Sampler {
	const name = "OTEL_TRACES_SAMPLER"
	switch value := strings.ToLower(e.get(name)); value {
	case "always_on":
		return trace.AlwaysSample()
	case "always_off":
		return trace.NeverSample()
	case "traceidratio":
		return e.ratio()
	case "parentbased_always_off":
		return trace.ParentBased(trace.NeverSample())
	case "parentbased_traceidratio":
		return trace.ParentBased(e.ratio())
	case "", "parentbased_always_on":
	default:
		e.warn(name, "there is no sampler %.40q; it is parentbased_always_on now", value)
	}
	return trace.ParentBased(trace.AlwaysSample())
}

func (e *environment) ratio() trace.Sampler {
	const name = "OTEL_TRACES_SAMPLER_ARG"
	value := e.get(name)
	share, err := strconv.ParseFloat(value, 64)
	if value != "" && (err != nil || !(share >= 0 && share <= 1)) {
		e.warn(name, "it is %.40q, not a number from 0 to 1; it is 1 now", value)
	}
	if value == "" || err != nil || !(share >= 0 && share <= 1) {
		share = 1
	}
	return trace.TraceIDRatioBased(share)
}

const (
	bsp      = "OTEL_BSP_" // the queue before the exporter: batch span processor
	maxSpans = 1 << 20     // the queue's memory is taken at once, 16 bytes a span
)

func (e *environment) milliseconds(name, value string, standard int) time.Duration {
	const day = 24 * 60 * 60 * 1000
	return time.Duration(e.number(name, value, day, standard)) * time.Millisecond
}

func (e *environment) number(name, value string, most, standard int) int {
	if value == "" {
		return standard
	}
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 || n > most {
		e.warn(name, "it is %.40q, not a number from 1 to %d; it is %d now", value, most, standard)
		return standard
	}
	return n
}

package tracing_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/dispatcher"
	"github.com/invitedhq/invited/metrics/tracing"
)

func TestSpansAreSentTogetherAndNobodyWaitsForThat(t *testing.T) {
	traced(t, "OTEL_BSP_SCHEDULE_DELAY=1000 OTEL_BSP_MAX_EXPORT_BATCH_SIZE=100 OTEL_BSP_MAX_QUEUE_SIZE=100", func(t *testing.T, f *fixture) {
		begun := time.Now()
		f.calls(make([]dispatcher.CallEnded, 99)...)
		pass(999 * time.Millisecond)
		assert.Zero(t, f.asked())
		pass(time.Millisecond * 2)
		assert.Equal(t, 1, f.asked())
		assert.Equal(t, 99, f.got())
		f.calls(make([]dispatcher.CallEnded, 100)...)
		pass(time.Millisecond)
		assert.Equal(t, 199, f.got(), "a full batch goes at once")
		assert.Less(t, time.Since(begun), 1100*time.Millisecond)
		assert.Empty(t, f.said(t), "what was sent takes no place in the queue")
	})
}

func TestACollectorIsToldWhatTheVariablesSay(t *testing.T) {
	traced(t, "OTEL_EXPORTER_OTLP_ENDPOINT=http://collector:4318/base OTEL_EXPORTER_OTLP_COMPRESSION=gzip"+
		" OTEL_EXPORTER_OTLP_HEADERS=api-key=a%20b,x-team=games OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-team=invites", func(t *testing.T, f *fixture) {
		f.calls(dispatcher.CallEnded{})
		f.tracer.Shutdown()
		require.Len(t, f.spans, 1, "it could be decoded")
		r := f.requests[0]
		assert.Equal(t, "POST http://collector:4318/base/v1/traces", r.Method+" "+r.URL.String())
		assert.Equal(t, http.Header{
			"Content-Type": {"application/x-protobuf"}, "Content-Encoding": {"gzip"}, "User-Agent": {"invited/v1.2.3"},
			"Api-Key": {"a b"}, "X-Team": {"invites"},
		}, r.Header)
	})
	traced(t, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://traces:9/as/it/is OTEL_EXPORTER_OTLP_ENDPOINT=http://all:8", func(t *testing.T, f *fixture) {
		f.calls(dispatcher.CallEnded{})
		f.tracer.Shutdown()
		assert.Equal(t, "http://traces:9/as/it/is", f.requests[0].URL.String())
	})
}

func TestACollectorThatIsAwayForAWhileGetsAllSpans(t *testing.T) {
	for name, away := range map[string]func(*http.Request) (reply, error){
		"it is not there":  func(*http.Request) (reply, error) { return reply{}, errors.New("connection refused") },
		"it has no time":   answers(503, ""),
		"it asks to wait":  answers(429, "", "Retry-After", "5"),
		"a gateway is ill": answers(502, "<html>"),
	} {
		t.Run(name, func(t *testing.T) {
			traced(t, "", func(t *testing.T, f *fixture) {
				f.turns(away)
				f.calls(dispatcher.CallEnded{})
				pass(8 * time.Second) // the first try is after five
				require.Positive(t, f.asked())
				f.turns(nil)
				pass(12 * time.Second)
				assert.Equal(t, 1, f.got())
				assert.NotContains(t, f.log.String(), "lost")
			})
		})
	}
	for _, inTwentySeconds := range []string{"20", "Sat, 01 Jan 2000 00:00:25 GMT"} { // a bubble begins in 2000, the first try is after five
		traced(t, "", func(t *testing.T, f *fixture) {
			f.answer = answers(429, "", "Retry-After", inTwentySeconds)
			f.calls(dispatcher.CallEnded{})
			pass(24 * time.Second)
			assert.Equal(t, 1, f.asked(), "what it asks to wait is waited: %s", inTwentySeconds)
			pass(2 * time.Second)
			assert.Greater(t, f.asked(), 1)
		})
	}
	for wait, again := range map[string]bool{
		"9223372037": false, "18446744073709551616": true, "Fri, 31 Dec 2199 00:00:00 GMT": false, "Fri, 31 Dec 1999 00:00:00 GMT": true, "-5": true, "soon": true,
	} {
		traced(t, "", func(t *testing.T, f *fixture) {
			f.answer = answers(429, "", "Retry-After", wait)
			f.calls(dispatcher.CallEnded{})
			pass(34 * time.Second)
			assert.Equal(t, again, f.asked() > 1, wait)
		})
	}
}

// said are how many spans the log says were lost, one number a line.
func (f *fixture) said(t *testing.T) (lost []int) {
	t.Helper()
	for _, m := range regexp.MustCompile(`were lost.* spans=(\d+) error=`).FindAllStringSubmatch(f.log.String(), -1) {
		n, err := strconv.Atoi(m[1])
		require.NoError(t, err)
		lost = append(lost, n)
	}
	return lost
}

func TestLostSpansAreToldOfAtOnceThenOnceAMinute(t *testing.T) {
	traced(t, "OTEL_BSP_SCHEDULE_DELAY=1000 OTEL_BSP_EXPORT_TIMEOUT=100", func(t *testing.T, f *fixture) {
		f.answer = func(*http.Request) (reply, error) { return reply{}, errors.New("connection refused") }
		for range 130 {
			f.calls(dispatcher.CallEnded{})
			pass(time.Second)
		}
		assert.Len(t, f.said(t), 3)
		f.tracer.Shutdown()
		total := 0
		for _, n := range f.said(t) {
			total += n
		}
		assert.Equal(t, 130, total, "each of them is counted once, at the latest when the worker ends")
		assert.Equal(t, 130, f.told.calls)
		assert.Contains(t, f.log.String(), "the collector at collector:4318 can't be reached: connection refused")
	})
}

func TestSpansBeyondTheQueueAreLostAndCounted(t *testing.T) {
	traced(t, "OTEL_BSP_MAX_QUEUE_SIZE=100 OTEL_BSP_MAX_EXPORT_BATCH_SIZE=50", func(t *testing.T, f *fixture) {
		held := make(chan struct{})
		f.answer = func(r *http.Request) (reply, error) {
			select {
			case <-held:
			case <-r.Context().Done():
				return reply{}, r.Context().Err()
			}
			return answers(200, "")(r)
		}
		for range 10 {
			f.calls(make([]dispatcher.CallEnded, 50)...)
			pass(time.Millisecond)
		}
		close(held)
		pass(10 * time.Second)
		f.tracer.Shutdown()
		assert.Len(t, f.spans, 100)
		assert.Equal(t, []int{1, 399}, f.said(t))
		assert.Contains(t, f.log.String(), "OTEL_BSP_MAX_QUEUE_SIZE")
	})
}

func TestWhatACollectorRefusesIsLost(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*http.Request) (reply, error)
		lost   []int
		says   string
	}{
		"all":                     {answers(400, "no secrets here"), []int{3}, "answers"},
		"by a redirect":           {answers(307, "", "Location", "http://elsewhere/"), []int{3}, "answers"},
		"some":                    {answers(200, "\x0a\x06\x08\x02\x12\x02no"), []int{2}, "refused some"},
		"none":                    {answers(200, "\x0a\x00"), nil, ""},
		"none, with a warning":    {answers(200, "\x0a\x04\x12\x02no"), nil, ""},
		"none, in another tongue": {answers(200, "{}"), nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			traced(t, "", func(t *testing.T, f *fixture) {
				f.answer = c.answer
				f.calls(make([]dispatcher.CallEnded, 3)...)
				f.tracer.Shutdown()
				assert.Len(t, f.requests, 1, "it is not asked again, and nobody else is")
				assert.Equal(t, c.lost, f.said(t))
				assert.Contains(t, f.log.String(), c.says)
				assert.NotContains(t, f.log.String(), "secrets")
			})
		})
	}
}

func TestAStopSendsWhatIsLeftAndWaitsTwoSecondsAtMost(t *testing.T) {
	hung := func(r *http.Request) (reply, error) {
		<-r.Context().Done()
		return reply{}, r.Context().Err()
	}
	for name, c := range map[string]struct {
		answer func(*http.Request) (reply, error)
		takes  time.Duration
		lost   []int
	}{
		"a collector that answers":          {nil, 0, nil},
		"a collector that is not there":     {func(*http.Request) (reply, error) { return reply{}, errors.New("connection refused") }, 0, []int{512, 88}},
		"a collector that does not answer":  {hung, 2 * time.Second, []int{512, 88}},
		"a collector that asks for an hour": {answers(503, "", "Retry-After", "3600"), 0, []int{512, 88}},
	} {
		t.Run(name, func(t *testing.T) {
			traced(t, "", func(t *testing.T, f *fixture) {
				f.answer = c.answer
				f.calls(make([]dispatcher.CallEnded, 600)...)
				begun := time.Now()
				f.tracer.Shutdown()
				assert.Equal(t, c.takes, time.Since(begun))
				assert.Equal(t, c.lost, f.said(t))
				f.calls(dispatcher.CallEnded{}) // late, and harmless
				f.tracer.Shutdown()
				assert.Equal(t, c.takes, time.Since(begun), "the second time there is nothing to do")
			})
		})
	}
}

func TestACollectorAndAWorkerKnowEachOtherByCertificates(t *testing.T) {
	collector := &collector{t: t}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		collector.take(body)
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	server.StartTLS()
	defer server.Close()
	file := func(kind string, der []byte) string {
		name := filepath.Join(t.TempDir(), "file.pem")
		require.NoError(t, os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return name
	}
	key, err := x509.MarshalPKCS8PrivateKey(server.TLS.Certificates[0].PrivateKey)
	require.NoError(t, err)
	ca := " OTEL_EXPORTER_OTLP_CERTIFICATE=" + file("CERTIFICATE", server.Certificate().Raw)
	own := " OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + file("CERTIFICATE", server.Certificate().Raw) +
		" OTEL_EXPORTER_OTLP_CLIENT_KEY=" + file("PRIVATE KEY", key)
	for variables, spans := range map[string]int{"": 0, ca: 0, own: 0, ca + own: 1} {
		f := &fixture{}
		tracer := f.startOver(nil, "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL+variables, tracing.Options{})
		require.NotNil(t, tracer)
		tracer.Observe(&f.told).CallEnded(dispatcher.CallEnded{Started: time.Now()})
		tracer.Shutdown()
		assert.Len(t, collector.spans, spans, variables)
		assert.Equal(t, spans == 0, strings.Contains(f.log.String(), "tls: "), f.log.String())
		collector.spans = nil
	}
}

func TestAnErrorDoesNotRepeatTheCollectorsPassword(t *testing.T) {
	traced(t, "OTEL_EXPORTER_OTLP_ENDPOINT=https://user:p4ssw0rd@collector/?key=s3cret OTEL_EXPORTER_OTLP_HEADERS=api-key=k3y", func(t *testing.T, f *fixture) {
		f.answer = func(*http.Request) (reply, error) { return reply{}, errors.New("no route") }
		f.calls(dispatcher.CallEnded{})
		f.tracer.Shutdown()
		assert.Contains(t, f.log.String(), "no route")
		for _, secret := range []string{"p4ssw0rd", "s3cret", "k3y"} {
			assert.NotContains(t, f.log.String(), secret)
		}
		assert.True(t, strings.HasPrefix(f.requests[0].URL.String(), "https://user:p4ssw0rd@collector/v1/traces"), f.requests[0].URL)
	})
}

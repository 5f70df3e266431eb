package faults

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// quickRetries keep a test of many failures short.
const quickRetries = ", retry: {initial: 100ms, max: 500ms, max_attempts: 20}}"

// failing sets a scene whose calls fail often, one by one.
func failing(t *testing.T, onAmbiguous string, simFlags ...string) *scene {
	t.Helper()
	s := stage(t, simFlags...)
	s.options.OnAmbiguous = onAmbiguous
	s.options.Timeout = 500 * time.Millisecond
	s.options.Config = s.options.Config[:len(s.options.Config)-1] + quickRetries
	return s
}

// hold waits for as long as the fault is to last.
func hold(d time.Duration) { <-time.After(d) }

const (
	retries     = "retry"
	deadLetters = "dead_letter"
)

func TestAnAPIThatFailsNowAndThenLosesNothing(t *testing.T) {
	for _, onAmbiguous := range []string{retries, deadLetters} {
		t.Run(onAmbiguous, func(t *testing.T) {
			s := failing(t, onAmbiguous, "--in-flight-grace", "500ms")
			s.sim.SetFaults(`{"error500":0.05,"error503":0.05,"error503RetryAfter":0.005,"retryAfter":"1s","resetBefore":0.04,` +
				`"resetAfter":0.03,"slow":0.02,"slowBy":"2s"}`)
			w := s.join()
			load := s.begin()
			hold(time.Duration(*rounds) * 3 * time.Second)
			harness.Until(t, patience, "a call has had an unknown outcome", func() bool { return ambiguous(w) > 0 })
			load.stop()
			s.settle()
			unknown := ambiguous(w)
			s.auditAmbiguous(onAmbiguous, unknown, w).report("API: 500, 503, 503 with Retry-After, resets, slow answers; on_ambiguous "+onAmbiguous, unknown)
		})
	}
}

// ambiguous is how many calls of a worker had an unknown outcome.
func ambiguous(w *harness.Worker) int {
	return int(w.Metrics().Sum("invited_calls_total", `result="ambiguous"`))
}

// auditAmbiguous audits what is left by so many calls with an unknown outcome.
func (s *scene) auditAmbiguous(onAmbiguous string, unknown int, w *harness.Worker) *audit {
	s.t.Helper()
	again := unknown
	if onAmbiguous == deadLetters {
		again = 0 // nobody is sent to twice
	}
	a := s.audit(again)
	for _, l := range a.letters {
		assert.Equalf(s.t, queue.Ambiguous, l.Reason, "a call that fails is no reason: %s", l.Detail)
	}
	if onAmbiguous == retries {
		assert.Empty(s.t, a.letters, "all are sent in the end")
	}
	for id, r := range a.results {
		if onAmbiguous == deadLetters {
			assert.Falsef(s.t, r.MaybeDuplicate, "nobody of job %s was sent to again", id)
		}
	}
	a.requireMetrics(w)
	return a
}

func TestGarbageForAnAnswerLosesNothing(t *testing.T) {
	for _, onAmbiguous := range []string{retries, deadLetters} {
		t.Run(onAmbiguous, func(t *testing.T) {
			s := failing(t, onAmbiguous)
			g := s.gateway().plain()
			g.play(6, tricks)
			s.options.API = g.URL
			w := s.join()
			load := s.begin()
			hold(time.Duration(*rounds) * 4 * time.Second)
			harness.Until(t, patience, "every trick has been done", g.allDone)
			load.stop()
			s.settle()
			assert.False(t, w.Said(secret), "no token is in the log")
			unknown := ambiguous(w)
			a := s.auditAmbiguous(onAmbiguous, unknown, w)
			for x := range g.swallowed {
				if onAmbiguous == deadLetters {
					assert.Containsf(t, a.dead, x, "nobody knows whether %d was sent to", x)
				}
			}
			for x := range g.answers {
				assert.NotContainsf(t, a.dead, x, "%d was sent to, and the answer said so", x)
				if _, before := g.swallowed[x]; !before {
					assert.Equalf(t, 1, a.sent[x], "how often %d was sent to, which the answer told", x)
				}
			}
			a.report("API: garbage, endless and cut off answers, wrong lengths; on_ambiguous "+onAmbiguous, unknown)
		})
	}
}

// The waits between two questions whether an outage is over are 0.5 s, twice as long each time, 3.5 s at most, each moved by a
// fifth at random (docs/architecture.md, Outage).
const (
	firstPause   = 400 * time.Millisecond
	longestPause = 4200 * time.Millisecond
	latePause    = 2800 * time.Millisecond
)

// questions is how many calls may ask for the end of an outage, at most and at least. Each takes a while.
func questions(outage, each time.Duration) (atMost, atLeast int) {
	for at, pause := time.Duration(0), firstPause; at <= outage; at, pause = at+pause, min(2*pause, latePause) {
		atMost++
	}
	return atMost, int((outage - each) / (longestPause + each))
}

// ride has the API fail as a whole for a while under load. It returns how many calls came meanwhile, and how long after its end
// the next job ended.
func (s *scene) ride(calls func() int, each time.Duration, begin, end func()) (during int, outage, after time.Duration) {
	s.t.Helper()
	s.progress()
	begin()
	before, begun := calls(), time.Now()
	hold(min(time.Duration(*rounds)*6*time.Second, time.Minute))
	during, outage = calls()-before, time.Since(begun)
	atMost, atLeast := questions(outage, each)
	// Before an outage is noticed each call in flight may fail, and be followed by another.
	assert.LessOrEqual(s.t, during, atMost+4*inFlight, "calls into a dead API in %s", outage)
	assert.GreaterOrEqual(s.t, during, atLeast, "it has to be asked whether the outage is over")
	ends := s.observe()
	ended := time.Now()
	end()
	harness.Until(s.t, patience, "jobs end again", ends.any)
	after = time.Since(ended)
	ends.end()
	assert.LessOrEqual(s.t, after, bound(5*time.Second), "sending goes on after the outage")
	return during, outage, after
}

func TestAnOutageIsNobodysFailure(t *testing.T) {
	for name, out := range map[string]struct {
		spoil trick
		each  time.Duration // how long a call takes
	}{
		"errors":              {},
		"answers of garbage":  {spoil: tricks[0]},
		"no answers":          {spoil: trick{name: "silence", holds: true}, each: time.Second},
		"connections dropped": {spoil: trick{name: "the end"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stage(t)
			s.options.Timeout = time.Second
			g := s.gateway().plain()
			s.options.API = g.URL
			begin, end := func() { g.does(func(int) *trick { return &out.spoil }) }, func() { g.does(nil) }
			if name == "errors" {
				begin, end = func() { s.sim.SetFaults(`{"outage":true}`) }, func() { s.sim.SetFaults(`{}`) }
			}
			w := s.join()
			load := s.begin()
			during, outage, after := s.ride(g.seen, out.each, begin, end)
			load.stop()
			s.settle()
			unknown := ambiguous(w)
			a := s.auditAmbiguous(retries, unknown, w)
			a.report("API: outage, "+name, unknown)
			t.Logf("%d calls in an outage of %s with up to %d jobs waiting; the next job ended %s after it", during, outage.Round(time.Second), s.accepted(), after)
		})
	}
}

func TestACertificateThatIsNotValidIsWaitedFor(t *testing.T) {
	s := stage(t)
	g := s.gateway()
	expired := certificate(t, time.Now().Add(-time.Hour))
	var shown atomic.Pointer[tls.Certificate]
	shown.Store(&expired)
	g.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{*shown.Load()}}, nil
	}}
	g.StartTLS()
	good := certificate(t, time.Now().Add(time.Hour))
	s.options.API, s.options.Env = g.URL, []string{"SSL_CERT_FILE=" + trusted(t, good, expired)}
	w := s.join()
	load := s.begin()
	// On a busy machine the first handshakes may time out, and of calls that fail in the same way there is a line a minute.
	harness.Until(t, patience, "the worker says why calls fail", func() bool { return w.Said("certificate has expired") })
	hold(time.Duration(*rounds) * 3 * time.Second)
	assert.Zero(t, g.seen(), "nothing is written to whom nobody knows")
	ends, healed := s.observe(), time.Now()
	shown.Store(&good)
	harness.Until(t, patience, "jobs end", ends.any)
	after := time.Since(healed)
	ends.end()
	assert.LessOrEqual(t, after, bound(5*time.Second), "sending begins with the valid certificate")
	load.stop()
	a := s.audit(0)
	assert.Empty(t, a.letters)
	a.requireMetrics(w)
	a.report("API: an expired certificate, then a valid one", 0)
	t.Logf("the first job ended %s after it", after)
}

// certificate makes a self-signed one for 127.0.0.1.
func certificate(t *testing.T, until time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(until.UnixNano()), NotBefore: until.Add(-24 * time.Hour), NotAfter: until,
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	require.NoError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// trusted writes certificates into a file, as the system keeps those of authorities.
func trusted(t *testing.T, all ...tls.Certificate) (file string) {
	t.Helper()
	var text []byte
	for _, c := range all {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})...)
	}
	file = filepath.Join(t.TempDir(), "trusted.pem")
	require.NoError(t, os.WriteFile(file, text, 0o600))
	return file
}

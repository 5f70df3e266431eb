package harness

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// Token is the Authorization value of all senders where there is no folder of tokens.
const Token = "XBL3.0 x=hash;s3cret" //nolint:gosec // the simulator takes any token

// NoQuota is the quota of which nothing is known.
const NoQuota = "none"

// WorkerOptions are what tests want different in workers. The zero value of a field means the default.
type WorkerOptions struct {
	NATS        string        // URL; empty: an embedded server
	TLS         string        // YAML of nats.tls: {ca_file: …}
	Creds       string        // file; nats.credentials_file
	Replicas    int           // of the streams; 0: the default
	API         string        // base URL
	XBL         string        // further YAML of xbl: audience: server
	Timeout     time.Duration // xbl.timeout
	OnAmbiguous string        // xbl.on_ambiguous
	Quota       string        // windows, such as 7/15s,50/300s, or NoQuota; empty: the published ones
	Tokens      string        // folder with a file for each sender, see WriteTokens; empty: Token
	Admin       string        // further YAML of admin: actions: true
	Config      string        // further YAML: whole sections that the fields above do not write
	Env         []string      // further variables, as NAME=value
	OffClock    bool          // it has a clock of its own: see Worker.SetClock
}

// Worker is an invited that serves.
type Worker struct {
	*Process
	NATS  string // URL, of the embedded server too
	Admin string // URL
	Data  string // the embedded server's directory
	File  string // its configuration

	clock string // the file that sets it
}

// Worker starts a worker, and returns when it takes jobs.
func (p *Programs) Worker(t testing.TB, o WorkerOptions) *Worker {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "invited.yaml")
	w := &Worker{NATS: o.NATS, Data: filepath.Join(dir, "data"), File: file}
	admin := embeddedtest.FreeAddress(t)
	w.Admin = "http://" + admin
	embedded := embeddedtest.FreeAddress(t)
	if w.NATS == "" {
		w.NATS = "nats://" + embedded
	}
	if o.TLS == "" {
		o.TLS = "{}"
	}
	config := []string{
		fmt.Sprintf("nats: {url: %q, replicas: %d, credentials_file: %q, tls: %s, embedded: {listen: %q, data_dir: %q}}",
			o.NATS, max(o.Replicas, 1), o.Creds, o.TLS, embedded, w.Data),
		o.xbl(),
		fmt.Sprintf("admin: {listen: %q, %s}", admin, o.Admin),
	}
	if o.Tokens != "" {
		config = append(config, fmt.Sprintf("tokens: {source: file, file: {dir: %q}}", o.Tokens))
	}
	if o.Quota != "" {
		config = append(config, fmt.Sprintf("quota: {windows: %s}", windows(t, o.Quota)))
	}
	text := strings.Join(append(config, o.Config), "\n") + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatalf("a worker's configuration must be written: %v", err)
	}
	program, env := Invited, append([]string{"XBL_AUTHORIZATION=" + Token}, o.Env...)
	if o.OffClock {
		w.clock = filepath.Join(dir, "clock")
		program, env = InvitedOffClock, append(env, clockVariable+"="+w.clock)
	}
	w.Process = p.Process(t, "worker on "+admin, program, env, "serve", "--config", file)
	w.Start()
	w.AwaitReady()
	return w
}

// xbl writes the section of that name.
func (o WorkerOptions) xbl() string {
	section := fmt.Sprintf("xbl: {base_url: %q", o.API)
	if o.Timeout != 0 {
		section += fmt.Sprintf(", timeout: %s", o.Timeout)
	}
	if o.OnAmbiguous != "" {
		section += ", on_ambiguous: " + o.OnAmbiguous
	}
	if o.XBL != "" {
		section += ", " + o.XBL
	}
	return section + "}"
}

// windows writes a quota as the configuration has it.
func windows(t testing.TB, quota string) string {
	t.Helper()
	if quota == NoQuota {
		quota = ""
	}
	parsed, err := xblsim.ParseQuota(quota)
	if err != nil {
		t.Fatalf("a worker's quota: %v", err)
	}
	all := make([]string, len(parsed))
	for i, w := range parsed {
		all[i] = fmt.Sprintf("{max: %d, per: %s}", w.Max, w.Per)
	}
	return "[" + strings.Join(all, ", ") + "]"
}

// WriteTokens writes a folder with a token of their own for each of the senders: TokenOf.
func WriteTokens(t testing.TB, senders ...string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for _, sender := range senders {
		if err := os.WriteFile(filepath.Join(dir, sender), []byte(TokenOf(sender)), 0o600); err != nil {
			t.Fatalf("a token must be written: %v", err)
		}
	}
	return dir
}

// TokenOf is the sender's Authorization value in WriteTokens.
func TokenOf(sender string) string { return "XBL3.0 x=hash;s3cret-" + sender }

// Ready says whether the worker says that it is ready.
func (w *Worker) Ready() bool {
	w.t.Helper()
	status, _ := Get(w.t, w.Admin+"/readyz")
	return status == http.StatusOK
}

// AwaitReady waits until the worker takes jobs.
func (w *Worker) AwaitReady() {
	w.t.Helper()
	Until(w.t, patience, "the worker is ready", func() bool {
		if !w.Running() {
			w.t.Fatalf("%s ended before it was ready", w.name)
		}
		return w.Ready()
	})
}

// Metrics reads the worker's metrics.
func (w *Worker) Metrics() Metrics {
	w.t.Helper()
	return readMetrics(w.t, w.Admin+"/metrics")
}

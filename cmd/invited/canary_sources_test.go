package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

// The further secrets that token sources have.
const (
	canaryKey        = "key4canary-0f-the-broker"
	canaryService    = "eyJzZXJ2aWNl.c4nary-0f-the-service.s1gn4ture"
	canaryDelegation = "eyJkZWxlZ2F0.c4nary-0f-a-delegation.s1gn4ture"
)

// brokerOfCanaries gives the canary as each sender's token. First, and for senders that it does not know, it repeats what
// it was sent. It returns the configuration for it.
func brokerOfCanaries(t *testing.T) string {
	t.Helper()
	headers := filepath.Join(t.TempDir(), "headers")
	require.NoError(t, os.WriteFile(headers, []byte("X-Api-Key: "+canaryKey+"\n"), 0o600))
	var asked atomic.Int32
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusInternalServerError)
			fmt.Fprintf(w, "%s %s", r.Header["X-Api-Key"], canary)
			return
		}
		fmt.Fprintf(w, `{"authorization":%q,"notAfter":%q}`, canary, time.Now().Add(time.Hour).Format(time.RFC3339))
	}))
	t.Cleanup(broker.Close)
	return fmt.Sprintf("tokens: {source: http, http: {url: %q, headers_file: %q}}", broker.URL+"/{sender}?key="+canaryKey, headers)
}

// authOfCanaries stands for Xbox Live's auth services, likewise.
func authOfCanaries(t *testing.T) string {
	t.Helper()
	a := wiretest.NewAuthority(t)
	cert, key := a.Valid(t, "partner")
	delegations := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(delegations, "ada"), []byte(canaryDelegation), 0o600))
	var asked atomic.Int32
	url := a.Serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch end := time.Now().Add(8 * time.Hour).Format(time.RFC3339); {
		case r.URL.Path == "/service/authenticate":
			fmt.Fprintf(w, `{"NotAfter":%q,"Token":%q}`, end, canaryService)
		case asked.Add(1) < 3:
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"Identity":"0","XErr":2148916273,"Message":%q}`, strings.Join(strings.Split(string(body)+canary, ""), " "))
		default:
			fmt.Fprintf(w, `{"NotAfter":%q,"Token":%q,"DisplayClaims":{"xui":[{"uhs":%q,"gtg":"Ada"}]}}`, end, canarySecret, canaryHash)
		}
	})).URL
	return fmt.Sprintf("tokens: {source: s2s, s2s: {certificate_file: %q, key_file: %q, ca_file: %q, service_url: %q, xsts_url: %q, delegation_dir: %q}}",
		cert, key, a.CAFile, url, url, delegations)
}

// A sender that nobody knows waits, says so in the status, and is sent for once it is known.
func TestASenderThatTheBrokerDoesNotKnowWaitsAndIsSeenToAndNobodyElse(t *testing.T) {
	var known atomic.Bool
	broker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/eve" && !known.Load() {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, `{"authorization":"XBL3.0 x=1;%s","notAfter":%q}`, strings.Trim(r.URL.Path, "/"), time.Now().Add(time.Hour).Format(time.RFC3339))
	}))
	defer broker.Close()
	sim := programs.Sim(t)
	w := programs.Worker(t, harness.WorkerOptions{
		API: sim.URL, Config: fmt.Sprintf("tokens: {source: http, http: {url: %q}}\nlog: {level: debug}", broker.URL+"/{sender}"),
	})
	send := func(sender, to string) {
		status, _, errOut := programs.Run(t, harness.Invitectl, "send", "--title", "730", "--sender", sender, "--to", to, "--nats-url", w.NATS)
		require.Zero(t, status, errOut)
	}
	send("eve", "2533274790000001")
	send("ada", "2533274790000002")
	harness.Until(t, 30*time.Second, "the other is sent", func() bool { return sim.Ledger().Unique == 1 })
	var shown string
	harness.Until(t, 20*time.Second, "the status says who waits, and why", func() bool {
		_, shown, _ = programs.Run(t, harness.Invitectl, "status", "--nats-url", w.NATS)
		return strings.Contains(shown, "without a token") && strings.Contains(shown, "it does not know this sender")
	})
	require.Contains(t, shown, "eve")
	_, metrics := harness.Get(t, w.Admin+"/metrics")
	require.Regexp(t, `invited_token_refreshes_total\{result="missing"\} [1-9]`, metrics)
	require.Regexp(t, `invited_token_refreshes_total\{result="ok"\} 1\n`, metrics)
	require.Contains(t, metrics, "invited_token_expiry_timestamp_seconds ")
	require.Regexp(t, `invited_dead_letters_total\{reason="expired",title="730"\} 0`, metrics)
	known.Store(true)
	w.Hangup()
	harness.Until(t, 30*time.Second, "it is sent once the broker knows the sender", func() bool { return sim.Ledger().Unique == 2 })
	w.Stop()
}

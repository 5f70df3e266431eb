package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
	"github.com/invitedhq/invited/xbl/xblsim"
)

// programs are those that tests run as real processes.
var programs harness.Programs

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.Cleanup(func(status int) {
		programs.Remove()
		os.Exit(status)
	}))
}

func run(t *testing.T, args ...string) (status int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	status = cli.Run(t.Context(), newCommand(&o, &e), args)
	return status, o.String(), e.String()
}

func TestCheckConfigNamesThePlace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "invited.yaml")
	require.NoError(t, os.WriteFile(file, []byte("quota:\n  windows: [{max: 0, per: 15s}]\n  max_inflight: 4\n"), 0o600))
	status, _, errOut := run(t, "check-config", file)
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, file+":2:")
	assert.Contains(t, errOut, "quota.windows[0].max")
	assert.Contains(t, errOut, file+":3:3", "all that is wrong is told at once")
	assert.Contains(t, errOut, "max_in_flight", "with the key that was meant")
}

func TestCheckConfigFailsWhereNothingCouldBeSent(t *testing.T) {
	a := wiretest.NewAuthority(t)
	certFile, keyFile := a.Issue(t, "partner", time.Now().Add(-48*time.Hour), time.Now().Add(-time.Hour))
	file := filepath.Join(t.TempDir(), "invited.yaml")
	require.NoError(t, os.WriteFile(file, fmt.Appendf(nil,
		"xbl: {audience: server}\ntokens: {source: s2s, s2s: {certificate_file: %q, key_file: %q}}\n", certFile, keyFile), 0o600))
	status, out, errOut := run(t, "check-config", file)
	assert.Equal(t, 1, status, "a worker would start, and wait for another certificate")
	assert.Empty(t, out)
	assert.Contains(t, errOut, "tokens.s2s.certificate_file: the certificate ended on")
	a.Valid(t, "partner")
	status, _, errOut = run(t, "check-config", file)
	assert.Zero(t, status, errOut)
}

func TestCheckConfigPrintsWhatTakesEffectWithoutSecrets(t *testing.T) {
	t.Setenv("XBL_AUTHORIZATION", "XBL3.0 x=hash;s3cret")
	status, out, errOut := run(t, "check-config", "--print")
	assert.Zero(t, status, errOut)
	assert.Contains(t, out, "max_in_flight: 256")
	assert.NotContains(t, out, "s3cret")
	status, out, _ = run(t, "check-config")
	assert.Zero(t, status)
	assert.Equal(t, "the default configuration is valid\n", out)
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"nonsense"}, {"serve", "now"}, {"--nope"}, {"check-config", "a", "b"}, {"check-config", "--config", "a", "b"},
	} {
		status, _, _ := run(t, args...)
		assert.Equal(t, 2, status, "%q", args)
	}
}

func TestServeSaysWhatItCantUse(t *testing.T) {
	status, _, errOut := run(t, "serve", "--config", filepath.Join(t.TempDir(), "missing.yaml"))
	assert.Equal(t, 1, status)
	assert.Contains(t, errOut, "missing.yaml")
}

func TestVersion(t *testing.T) {
	status, out, _ := run(t, "version")
	assert.Zero(t, status)
	assert.Regexp(t, `^invited \S+.* go1\.\S+ \w+/\w+\n$`, out)
}

func TestTheDemoDoesWhatItSays(t *testing.T) {
	var out bytes.Buffer
	err := runDemo(t.Context(), &out, slog.New(slog.DiscardHandler), false)
	require.NoError(t, err, out.String())
	for _, want := range []string{"recipients sent", "425 of 429", "rejected", "expired", "invalid", "Every count is what it must be."} {
		assert.Contains(t, out.String(), want)
	}
	assert.NotContains(t, out.String(), "\r", "plain lines where the output is no terminal")
}

func TestTheDemoNamesTheCommonestReasonFirstAndEqualOnesByName(t *testing.T) {
	r := report{script: newScript(time.Now())}
	for _, stored := range [][]queue.Reason{
		{queue.Rejected, queue.Invalid, queue.Expired, queue.Rejected},
		{queue.Expired, queue.Rejected, queue.Rejected, queue.Invalid},
	} {
		var letters []queue.DeadLetter
		for _, reason := range stored {
			letters = append(letters, queue.DeadLetter{Reason: reason, Detail: "because"})
		}
		var out bytes.Buffer
		r.write(&out, letters)
		assert.Regexp(t, `(?s)rejected +because\n  rejected +because\n  expired +because\n  invalid +because`, out.String(), "%v", stored)
	}
}

func TestTheDemoFailsWhenAnyCountIsWrong(t *testing.T) {
	good := func() *report {
		s := newScript(time.Now())
		return &report{script: s, own: 7, got: tally{
			jobs: s.want.jobs, recipients: s.want.recipients, sent: s.want.sent,
			dead: map[queue.Reason]int{queue.Rejected: 1, queue.Expired: 1, queue.Invalid: 1},
		}, ledger: xblsim.Ledger{Recipients: s.want.sent + 7, Throttled: 1}}
	}
	r := good()
	r.check()
	require.Empty(t, r.wrong)
	for what, spoil := range map[string]func(*report){
		"a job":           func(r *report) { r.got.jobs-- },
		"a recipient":     func(r *report) { r.got.recipients-- },
		"a result":        func(r *report) { r.got.sent++ },
		"the ledger":      func(r *report) { r.ledger.Recipients-- },
		"a duplicate":     func(r *report) { r.ledger.Duplicates++ },
		"no throttle":     func(r *report) { r.ledger.Throttled-- },
		"an early call":   func(r *report) { r.ledger.InBlock++ },
		"a dead letter":   func(r *report) { r.got.dead[queue.Exhausted]++ },
		"one that is not": func(r *report) { delete(r.got.dead, queue.Invalid) },
	} {
		r := good()
		spoil(r)
		r.check()
		var out bytes.Buffer
		assert.Len(t, r.wrong, 1, what)
		assert.Error(t, r.verdict(&out), what)
	}
}

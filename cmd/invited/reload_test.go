package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/harness"
)

func TestAHangupPutsWhatCanBeChangedInForceAndSaysWhatChanged(t *testing.T) {
	const refused, good = "XBL3.0 x=me;s3cret-old", "XBL3.0 x=me;s3cret-new"
	sim := programs.Sim(t)
	sim.SetFaults(fmt.Sprintf(`{"expiredTokens": [%q]}`, refused))
	w := programs.Worker(t, harness.WorkerOptions{API: sim.URL, Quota: "100/240s"})
	base, err := os.ReadFile(w.File)
	require.NoError(t, err)
	// write adds to the configuration it began with, in which quota is the last section.
	write := func(more string) {
		t.Helper()
		before, _, _ := strings.Cut(string(base), "quota:")
		require.NoError(t, os.WriteFile(w.File, []byte(before+more), 0o600))
		w.Hangup()
	}
	said := func(words ...string) {
		t.Helper()
		for _, word := range words {
			harness.Until(t, 30*time.Second, "it says "+word, func() bool { return w.Said(word) })
		}
	}
	sent := 0
	send := func(n int) {
		t.Helper()
		for range n {
			sent++
			status, _, errOut := programs.Run(t, harness.Invitectl, "send", "--title", "730", "--to", fmt.Sprint(2533274790000000+sent),
				"--connection", fmt.Sprint("lobby-", sent), "--nats-url", w.NATS) // a call each
			require.Zero(t, status, errOut)
		}
	}
	arrived := func(n int) {
		t.Helper()
		harness.Until(t, 30*time.Second, fmt.Sprint(n, " invites are sent"), func() bool { return sim.Ledger().Unique == n })
	}
	send(1)
	arrived(1)

	write("quota: {windows: [{max: 2, per: 4m}]}\n")
	said("quota.windows: [{max: 2, per: 4m}], was [{max: 100, per: 4m}]")
	send(3)
	arrived(2)

	write("quota: {windows: [{max: 2, per: 4m}, {max: no\n")
	said("the configuration has a mistake; nothing is changed")
	write("quota: {windows: [{max: 50, per: 1s}], titles: {\"570\": {max_in_flight: 2}}}\nlog: {level: debug}\ndispatch: {shutdown_grace: 1m}\n")
	said("was [{max: 2, per: 4m}]", "log.level: debug, was info", "a change of the configuration takes a restart", "dispatch.shutdown_grace: 1m, was 20s",
		"level=DEBUG")
	arrived(4)
	harness.Until(t, 30*time.Second, "a title that is named now has its metrics", func() bool {
		_, metrics := harness.Get(t, w.Admin+"/metrics")
		return strings.Contains(metrics, `invited_calls_total{result="sent",title="570"} 0`)
	})

	require.NoError(t, os.Truncate(w.File, 0)) // as somebody does who writes it anew
	w.Hangup()
	said("nothing is changed", "it is empty")

	token := func(t string) string { return fmt.Sprintf("tokens: {static: {authorization: %q}}\n", t) }
	write(token(refused))
	said("key=tokens.static.authorization")
	send(1)
	said("result=unauthorized")
	write(token(good))
	arrived(5)
	assert.NotContains(t, w.Stderr(), "s3cret")
	w.Stop()
}

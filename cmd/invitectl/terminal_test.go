//go:build unix

package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/cmd/internal/harness"
)

// The tests in this file run invitectl at a terminal, as a person does.

// moves are what moves the cursor, or clears.
var moves = regexp.MustCompile(`\x1b\[[0-9;]*[A-HJKfhlsu]`)

// startedCampaign is a server with a campaign of 10 jobs for 160 recipients.
func startedCampaign(t *testing.T) (conn *nats.Conn, url string) {
	t.Helper()
	conn, url = emptyQueue(t)
	status, _, errOut := run(t, "campaign", "start", "cup", "--title", "730", "--sender", "ada", "--file", fileOf(t, numbers(1, 160)), "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	return conn, url
}

// awaitBlock waits for a screen with all these patterns, on which what is redrawn stands once, and nothing of it has gone to the next
// line. A second block, or a line too long, would stay: nothing clears it.
func awaitBlock(at *harness.Terminal, columns int, patterns ...string) {
	at.AwaitScreen(fmt.Sprintf("one block of %d columns with %q", columns, patterns), func(screen string) bool {
		return once(screen, "cup  title 730") && once(screen, "\nsent ") && strings.Count(screen, "\n") < 8 && narrower(screen, columns) &&
			!slices.ContainsFunc(patterns, func(p string) bool { return !regexp.MustCompile(p).MatchString(screen) })
	})
}

func once(screen, words string) bool { return strings.Count(screen, words) == 1 }

// narrower says whether each line has less than so many columns.
func narrower(screen string, columns int) bool {
	return !slices.ContainsFunc(strings.Split(screen, "\n"), func(l string) bool { return utf8.RuneCountInString(l) >= columns })
}

func TestAPersonWatchesACampaignToItsEnd(t *testing.T) {
	conn, url := startedCampaign(t)
	worker := work(t, conn)
	const columns = 60
	at := programs.Terminal(t, columns, 24, nil, harness.Invitectl, "campaign", "watch", "cup", "--nats-url", url)
	awaitBlock(at, columns, `left +160`)
	worker.end(3, 2)
	awaitBlock(at, columns, `left +112`, `\[############`, `\.\.\]  30\.0 %\n`, `\ndead        2  rejected 2\n`,
		`lately    (\d+\.\d/s|not measured yet)\ntime left `)

	at.Resize(44, 24)
	worker.end(1, 0)
	awaitBlock(at, 44, `left +96`)
	at.Resize(20, 4) // what does not fit is left out
	worker.end(1, 0)
	at.AwaitScreen("50.0 % in less than 20 columns", func(screen string) bool {
		return strings.Contains(screen, " 50.0 %") && narrower(screen, 20)
	})
	at.Resize(columns, 24)
	worker.end(5, 0)
	at.Await(`ended`)
	assert.Equal(t, cli.Done, at.End())
	assert.Contains(t, at.Screen(), "100.0 %")
	assert.Contains(t, at.Raw(), "\x1b[32msending\x1b[0m")
	assert.Contains(t, at.Raw(), "\x1b[31mdead        2\x1b[0m")
}

func TestCtrlCLeavesTheTerminalAsItWas(t *testing.T) {
	_, url := startedCampaign(t)
	at := programs.Terminal(t, 80, 24, nil, harness.Invitectl, "campaign", "watch", "cup", "--nats-url", url)
	at.Await(`left +160`)
	at.Type("\x03")
	assert.Equal(t, cli.Done, at.End(), "it is how one leaves")
	assert.Contains(t, at.Screen(), "left      160", "what was seen last stays")
	assert.NotContains(t, at.Screen(), "^C")
}

func TestNobodyIsShownColoursWhoWantsNone(t *testing.T) {
	_, url := startedCampaign(t)
	for variable, drawn := range map[string]bool{"NO_COLOR=1": true, "TERM=dumb": false} {
		at := programs.Terminal(t, 80, 24, []string{variable}, harness.Invitectl, "campaign", "watch", "cup", "--nats-url", url)
		at.Await(`160 left|left +160`)
		at.Type("\x03")
		assert.Equal(t, cli.Done, at.End())
		assert.Empty(t, sgr.FindAllString(at.Raw(), -1), variable)
		assert.Equal(t, drawn, moves.MatchString(at.Raw()), "%s: a terminal without cursor gets lines", variable)
	}
	at := programs.Terminal(t, 80, 24, nil, harness.Invitectl, "status", "--nats-url", url)
	assert.Equal(t, cli.Done, at.End())
	assert.NotEmpty(t, sgr.FindAllString(at.Raw(), -1), "without either there are some")
}

func TestAnUploadsBarFitsANarrowTerminalAndFinishes(t *testing.T) {
	_, url := emptyQueue(t)
	const columns = 50
	at := programs.Terminal(t, columns, 24, nil, harness.Invitectl, "campaign", "start", "cup", "--title", "730",
		"--file", fileOf(t, numbers(1, 200_000)), "--nats-url", url)
	at.Await(`uploading \[`)
	at.Await(`12,500 calls stored`)
	assert.Equal(t, cli.Done, at.End())
	screen := at.Screen()
	assert.Equal(t, 1, strings.Count(screen, "uploading"), "%s", screen)
	assert.Regexp(t, `^uploading \[#+\] 100.0 %\n200,000 of 200,000, [\d,]+/s\ncup: 200,000 recipients in 12,500 calls stored$`, screen)
	assert.Contains(t, at.Raw(), ".]   0.0 %", "it was drawn from the beginning")
}

func TestCancelAsksWhoeverSitsThere(t *testing.T) {
	_, url := startedCampaign(t)
	state := func() string {
		_, out, errOut := run(t, "campaign", "status", "cup", "--nats-url", url)
		require.Empty(t, errOut)
		return regexp.MustCompile(`state +(\w+)`).FindStringSubmatch(out)[1]
	}
	for what, keys := range map[string]string{"no": "n\r", "Enter alone": "\r", "anything else": "yep\r", "Ctrl-C": "\x03", "the end": "\x04"} {
		at := programs.Terminal(t, 160, 24, nil, harness.Invitectl, "campaign", "cancel", "cup", "--nats-url", url)
		assert.Contains(t, at.Await(`\[y/N\]`), "0 of 160 sent, 160 left\nCancel it? What is left will be dropped, for good: 160 recipients. [y/N]")
		at.Type(keys)
		assert.Equal(t, cli.Failed, at.End(), what)
		assert.Contains(t, at.Screen(), "nothing was changed", what)
		assert.Equal(t, "waiting", state(), what)
	}
	at := programs.Terminal(t, 160, 24, nil, harness.Invitectl, "campaign", "cancel", "cup", "--nats-url", url)
	at.Await(`\[y/N\]`)
	at.Type("y\r")
	at.Await(`10 jobs still to be dropped: no worker is running; this happens as soon as one does. Ctrl-C leaves`)
	at.Type("\x03")
	assert.Equal(t, cli.Failed, at.End())
	assert.Contains(t, at.Screen(), "stopped waiting; the campaign stays cancelled")
	assert.Equal(t, "cancelling", state())
}

func TestAWatchThatHasLostItsConnectionSaysThatItsFiguresAreOld(t *testing.T) {
	_, url := startedCampaign(t)
	network := harness.NewProxy(t, strings.TrimPrefix(url, "nats://"))
	const columns = 60
	at := programs.Terminal(t, columns, 24, nil, harness.Invitectl, "campaign", "watch", "cup", "--nats-url", "nats://"+network.Address)
	awaitBlock(at, columns, `left +160`)
	network.Refuse()
	at.AwaitScreen("once, that its figures are old", func(screen string) bool {
		return once(screen, "\nno connection to NATS: this is how it stood\n") && once(screen, "cup  title 730") && once(screen, "\nsent ")
	})
	network.Heal()
	status, _, errOut := run(t, "campaign", "pause", "cup", "--nats-url", url)
	require.Equal(t, cli.Done, status, errOut)
	at.AwaitScreen("that it is paused, and no more that its figures are old", func(screen string) bool {
		return strings.Contains(screen, "\npaused\n") && !strings.Contains(screen, "no connection")
	})
	awaitBlock(at, columns, `\npaused\n`)
	at.Type("\x03")
	assert.Equal(t, cli.Done, at.End())
}

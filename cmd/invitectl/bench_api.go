package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/xbl"
)

const envAuthorization = "XBL_AUTHORIZATION"

// benchAPI calls an API itself: what it can do without workers.
func (t *tool) benchAPI(ctx context.Context, l *load, f *benchFlags) error {
	client, err := f.client()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	fmt.Fprintf(t.errOut, "Calling %s over %s: %s.\n", f.api, plural(f.connections, "connection"), l.inWords())
	b := &apiBench{load: l, client: client, notSent: make(counts), began: time.Now()}
	stop := t.showProgress(b.progress)
	b.run(ctx, f.connections)
	stop()
	return t.printBench(b.report())
}

// client makes the worker's own client, for any API but the real one.
func (f *benchFlags) client() (*xbl.Client, error) {
	if err := refuseProduction(f.api); err != nil {
		return nil, err
	}
	audience, err := xbl.ParseAudience(f.audience)
	switch {
	case err != nil:
		return nil, cli.Usagef("--audience: %w", err)
	case f.connections < 1, f.connections > 10_000:
		return nil, cli.Usagef("--connections: %d is not from 1 to 10000", f.connections)
	}
	authorization, from := os.Getenv(envAuthorization), envAuthorization
	if f.tokenFile != "" {
		text, err := os.ReadFile(f.tokenFile)
		if err != nil {
			return nil, cli.Usagef("--token-file: %w", err)
		}
		authorization, from = strings.TrimSpace(string(text)), "--token-file"
	}
	if _, err := xbl.NewToken(authorization); err != nil {
		return nil, cli.Usagef("%s: %w", from, err)
	}
	client, err := xbl.NewClient(xbl.Options{
		BaseURL: f.api, Audience: audience, Tokens: xbl.Static(authorization), MaxInFlight: f.connections, UserAgent: "invitectl-bench",
	})
	if err != nil {
		return nil, cli.Usagef("--api: %w", err)
	}
	return client, nil
}

// refuseProduction keeps a load away from real players.
func refuseProduction(api string) error {
	u, err := url.Parse(api)
	if err != nil {
		return cli.Usagef("--api: this is no URL") // its words may repeat a password
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	if host == "xboxlive.com" || strings.HasSuffix(host, ".xboxlive.com") {
		return cli.Usagef("--api: %s is Xbox Live; bench is for staging endpoints only, such as xblsim", host)
	}
	return nil
}

// apiBench is a load on an API. What is below mu is shared by its connections.
type apiBench struct {
	load   *load
	client *xbl.Client
	began  time.Time

	mu      sync.Mutex
	next    int // job
	calls   int // that were sent
	sent    int // recipients
	sentAt  time.Time
	took    []time.Duration // of calls that were sent
	notSent counts
	last    *xbl.Error // the last that was not
	why     string
}

func (b *apiBench) run(ctx context.Context, connections int) {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	quiet := time.AfterFunc(b.load.patience, func() { stop(fmt.Errorf("given up: no call was sent for %v", b.load.patience)) })
	defer quiet.Stop()
	var all sync.WaitGroup
	for range connections {
		all.Go(func() {
			for n := b.take(); b.load.await(ctx, n, b.began); n = b.take() {
				if err := b.call(ctx, n); err == nil {
					quiet.Reset(b.load.patience)
				} else if err.Kind == xbl.Unauthorized {
					stop(errors.New("stopped: the token was refused: " + err.Detail))
				} else {
					pause(ctx, max(err.RetryAfter, afterFailure))
				}
			}
		})
	}
	all.Wait()
	if cause := context.Cause(ctx); errors.Is(cause, context.Canceled) {
		b.why = "stopped before its end"
	} else if cause != nil {
		b.why = cause.Error()
	}
}

// afterFailure is how long a connection leaves an API alone that did not send its call, unless it says for how long.
const afterFailure = 100 * time.Millisecond

func (b *apiBench) take() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	return b.next - 1
}

func (b *apiBench) call(ctx context.Context, n int) *xbl.Error {
	a, users := b.load.address(n), b.load.recipients(n)
	invite := xbl.Invite{
		TitleID: a.TitleID, Sender: a.Sender, InvitedUsers: make([]uint64, len(users)),
		ConnectionString: b.load.job.ConnectionString, Platform: b.load.job.Platform,
	}
	for i, x := range users {
		invite.InvitedUsers[i] = uint64(x)
	}
	began := time.Now()
	err := b.client.SendInvites(ctx, invite)
	now := time.Now()
	b.mu.Lock()
	defer b.mu.Unlock()
	if failed, ok := errors.AsType[*xbl.Error](err); ok {
		b.notSent[failed.Kind.String()]++
		b.last = failed
		return failed
	}
	b.calls++
	b.sent += len(users)
	b.sentAt = now
	b.took = append(b.took, now.Sub(began))
	return nil
}

func (b *apiBench) progress() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	sent := ratedOf(b.calls, time.Since(b.began))
	return fmt.Sprintf("%s sent, %s/s", plural(b.calls, "call"), grouped(int(sent.PerSecond)))
}

// report is for when all connections have ended.
func (b *apiBench) report() benchReport {
	var took time.Duration
	if !b.sentAt.IsZero() {
		took = b.sentAt.Sub(b.began)
	}
	calls := ratedOf(b.calls, took)
	r := benchReport{
		Load: b.load.inWords(), Why: b.why, Complete: b.why == "" && len(b.notSent) == 0 && b.calls > 0,
		Calls: &calls, Recipients: ratedOf(b.sent, took), NotSent: b.notSent, Latency: latencyOf(b.took),
	}
	if b.calls > 0 {
		r.PerCall = float64(b.sent) / float64(b.calls)
	}
	if b.last != nil && r.Why == "" {
		r.Why = "the last call that was not sent: " + cli.Printable(b.last.Error())
	}
	return r
}

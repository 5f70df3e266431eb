package main

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/invitedhq/invited/cmd/internal/harness"
	"github.com/invitedhq/invited/queue"
)

// BenchmarkQuotaBlockedKey measures how long players of 200 keys wait, from publish to result, beside a key that has to wait
// for five minutes and has 5,000 jobs.
func BenchmarkQuotaBlockedKey(b *testing.B) {
	const keys, rounds, jobs, bound = 200, 5, 5000, 50 * time.Millisecond
	s := newStage(b, "--quota", "7/15s,50/300s", "--latency", "5ms", "--in-flight-grace", "50ms")
	names := append(senders(keys), "blocked")
	s.worker(harness.WorkerOptions{Tokens: harness.WriteTokens(b, names...), Config: "dispatch: {interactive_ttl: 24h}"})
	// Another program has used up the quota of the token: the worker's first call with it is refused, for five minutes.
	for range 51 {
		s.sim.Invite(benchTitle, harness.TokenOf("blocked"))
	}
	before := s.sim.Ledger()
	for range jobs {
		s.publish(queue.Address{TitleID: benchTitle, Sender: "blocked"}, 1)
	}
	s.stored()
	harness.Until(b, 10*time.Second, "the key is blocked", func() bool { return s.sim.Ledger().Throttled > before.Throttled })

	results := s.watch()
	noise := s.noise()
	players := newPlayers(s)
	players.publish(rounds*keys, 5*time.Millisecond, func(n int) queue.Address {
		return queue.Address{TitleID: benchTitle, Sender: names[n%keys]}
	})
	const late = 5 * time.Second
	waited := players.waited(results, late)
	own := noise()

	f := newFigures(b)
	f.exactly("not-sent", players.missing, 0)
	f.note("ms-p50", ms(waited[len(waited)/2]))
	f.atMost("ms-p99", ms(waited[len(waited)*99/100]), ms(bound+own))
	f.note("ms-worst", ms(waited[len(waited)-1]))
	f.note("ms-noise", ms(own))
	// The worker learns of the block by its first calls to the key: as many as it may have in flight.
	f.atMost("calls-to-the-blocked-key", float64(s.sim.Ledger().Throttled-before.Throttled), 4)
	f.verdict()
}

// BenchmarkQuotaBehindACampaign measures how long a player waits whose key has a campaign of 100,000 recipients, while players
// stay within the reserve (a tenth of each window), against players of an idle worker.
//
// The quota is ten times the published one, and 15 to 30 times as fast, so that there are enough players to find the worst case. The
// windows are 50 and 500 times as long as a call.
func BenchmarkQuotaBehindACampaign(b *testing.B) {
	const (
		quota   = "70/1s,500/10s"
		latency = 20 * time.Millisecond
		pace    = 250 * time.Millisecond // 4 players in 1 s, 40 in 10 s: 7 and 50 are reserved
		players = 50
	)
	worst := func(recipients int) (worst, own time.Duration) {
		s := newStage(b, "--quota", quota, "--latency", latency.String())
		s.worker(harness.WorkerOptions{Quota: quota})
		results := s.watch()
		to := queue.Address{TitleID: benchTitle, Sender: "cup"}
		// The first player tells the worker that this key has players: the campaign leaves the reserve free from then on.
		first := newPlayers(s)
		first.publish(1, 0, func(int) queue.Address { return to })
		first.waited(results, 5*time.Second)
		for range recipients / 16 {
			s.publish(queue.Address{TitleID: benchTitle, Sender: "cup", Campaign: "finals"}, 16)
		}
		s.stored()
		noise := s.noise()
		p := newPlayers(s)
		p.publish(players, pace, func(int) queue.Address { return to })
		waited := p.waited(results, 5*time.Second)
		if p.missing > 0 {
			b.Fatalf("%d of %d players were not sent", p.missing, players)
		}
		if left := s.sim.Ledger(); left.Throttled > 0 {
			b.Fatalf("%d calls were refused", left.Throttled)
		}
		return waited[len(waited)-1], noise()
	}
	idle, _ := worst(0)
	behind, own := worst(100_000)
	f := newFigures(b)
	f.note("ms-worst-idle", ms(idle))
	f.atMost("ms-worst", ms(behind), ms(idle+latency+own))
	f.note("ms-noise", ms(own))
	f.verdict()
}

// players are interactive jobs for one player each, and when they were published.
type players struct {
	s         *stage
	published map[string]time.Time
	missing   int // that did not end in time
}

func newPlayers(s *stage) *players { return &players{s: s, published: make(map[string]time.Time)} }

// publish publishes n jobs, one each time that pace has passed.
func (p *players) publish(n int, pace time.Duration, to func(n int) queue.Address) {
	p.s.b.Helper()
	next := time.NewTicker(max(pace, 1))
	defer next.Stop()
	for i := range n {
		j := p.s.job(1)
		j.ID = fmt.Sprintf("player-%d", j.InvitedUsers[0])
		p.published[j.ID] = time.Now()
		_, err := p.s.publisher.Publish(p.s.ctx, to(i), j)
		p.s.must(err)
		<-next.C
	}
}

// waited is how long each player waited until the result was here, in order. One that did not end within the limit counts as
// that.
func (p *players) waited(results *watch, limit time.Duration) (waited []time.Duration) {
	late := time.Now().Add(limit)
	for len(waited) < len(p.published) {
		got := results.gather(1, time.Until(late))
		if got == nil {
			break
		}
		if at, ours := p.published[got[0].ID]; ours {
			waited = append(waited, got[0].at.Sub(at))
		}
	}
	for p.missing = 0; len(waited) < len(p.published); p.missing++ {
		waited = append(waited, limit)
	}
	slices.Sort(waited)
	return waited
}

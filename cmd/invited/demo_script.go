package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

const (
	demoTitle    = 1739947436
	demoLobby    = "lobby-1" // a sender with some jobs of two friends each
	demoSolo     = "lobby-2" // a sender with many jobs of one friend each, that can share calls
	demoBusy     = "lobby-3" // a sender whose quota the game itself has just used up
	demoCup      = "cup-bot" // a sender with a campaign
	demoCampaign = "finals"
)

// script is what the demo does, and what must come of it.
type script struct {
	senders []string
	jobs    []scriptedJob
	refused queue.XUID
	want    tally
}

type scriptedJob struct {
	to  queue.Address
	job queue.Job
	raw string // instead of a job: a message that is none
}

// tally is how recipients and jobs ended.
type tally struct {
	jobs       int
	recipients int // of valid jobs
	sent       int
	dead       map[queue.Reason]int // letters
}

func newScript(now time.Time) *script {
	s := &script{
		senders: []string{demoLobby, demoSolo, demoBusy, demoCup},
		want:    tally{dead: map[queue.Reason]int{queue.Rejected: 1, queue.Expired: 1, queue.Invalid: 1}},
	}
	friends := xuids(2533274790000000)
	add := func(sender, campaign, connection string, n int) []queue.XUID {
		j := queue.Job{InvitedUsers: friends(n), ConnectionString: connection}
		s.jobs = append(s.jobs, scriptedJob{to: queue.Address{TitleID: demoTitle, Sender: sender, Campaign: campaign}, job: j})
		s.want.sent += n
		return j.InvitedUsers
	}
	add(demoBusy, "", "lobby=busy", 4) // first, while its quota is still used up
	for range 25 {
		recipients := add(demoCup, demoCampaign, "cup=finals", xbl.MaxInvitedUsers)
		s.refused = recipients[10]
	}
	s.want.sent-- // the refused one
	for i := range 6 {
		add(demoLobby, "", fmt.Sprintf("lobby=%d", i), 2)
	}
	for range 10 {
		add(demoSolo, "", "party=solo", 1)
	}

	add(demoSolo, "", "lobby=over", 3)
	s.jobs[len(s.jobs)-1].job.ExpiresAt = now.Add(-time.Minute)
	s.want.sent -= 3
	s.want.recipients = s.want.sent + 1 + 3
	s.jobs = append(s.jobs, scriptedJob{to: queue.Address{TitleID: demoTitle, Sender: demoLobby}, raw: `{"invitedUsers": ["12x"`})
	s.want.jobs = len(s.jobs)
	return s
}

// xuids makes recipients that nobody else has.
func xuids(first queue.XUID) func(n int) []queue.XUID {
	return func(n int) []queue.XUID {
		users := make([]queue.XUID, n)
		for i := range users {
			users[i] = first
			first++
		}
		return users
	}
}

// publish publishes all jobs.
func (s *script) publish(ctx context.Context, conn *nats.Conn) error {
	publisher, err := queue.NewPublisher(conn)
	if err != nil {
		return err
	}
	for _, j := range s.jobs {
		if j.raw != "" {
			_, err = conn.RequestWithContext(ctx, j.to.Subject(), []byte(j.raw)) // as any client of NATS may
		} else {
			_, err = publisher.Publish(ctx, j.to, j.job)
		}
		if err != nil {
			return fmt.Errorf("publish to %s: %w", j.to.Subject(), err)
		}
	}
	return nil
}

// useUpQuota makes the calls that a game makes by itself, past the worker: the
// worker can't know of them until the API tells it to wait.
func useUpQuota(ctx context.Context, api string) (recipients int, err error) {
	game, err := xbl.NewClient(xbl.Options{BaseURL: api, Tokens: xbl.Static(demoToken(demoBusy))})
	if err != nil {
		return 0, err
	}
	defer game.CloseIdleConnections()
	friends := xuids(2535400000000000)
	for range demoSimQuota[0].Max {
		to := uint64(friends(1)[0])
		if err := game.SendInvites(ctx, xbl.Invite{TitleID: demoTitle, Sender: demoBusy, InvitedUsers: []uint64{to}}); err != nil {
			return recipients, fmt.Errorf("the game's own invite: %w", err)
		}
		recipients++
	}
	return recipients, nil
}

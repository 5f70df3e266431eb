package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/xbl"
)

const (
	demoSeason     = "season"  // a campaign of half an hour
	demoStadium    = "stadium" // a sender without a token, with a campaign that waits for one
	demoWatchParty = "watch-party"

	demoSeasonSize = 20_000
	demoPlayers    = 3 * time.Second  // how often somebody invites two friends
	demoGame       = 20 * time.Second // how often the game uses up a sender's quota
)

// keepGoing gives the worker something to do until ctx ends, so that there is
// something to see on each page of the console: a campaign under way, players,
// a sender that is told to wait, and one whose token is missing.
func keepGoing(ctx context.Context, w *worker) error {
	organizer, err := queue.NewOrganizer(ctx, w.conn)
	if err != nil {
		return err
	}
	publisher, err := queue.NewPublisher(w.conn)
	if err != nil {
		return err
	}
	var season queue.Recipients
	for _, x := range xuids(2533274800000000)(demoSeasonSize) {
		season.Add(x)
	}
	cup := queue.CampaignOrder{
		Address:          queue.Address{TitleID: demoTitle, Sender: demoCup, Campaign: demoSeason},
		ConnectionString: "cup=" + demoSeason,
	}
	if _, err := organizer.Start(ctx, cup, &season, nil); err != nil {
		return err
	}
	publish := func(to queue.Address, connection string, users []queue.XUID) error {
		_, err := publisher.Publish(ctx, to, queue.Job{InvitedUsers: users, ConnectionString: connection})
		return err
	}
	friends := xuids(2533274900000000)
	for range 5 {
		to := queue.Address{TitleID: demoTitle, Sender: demoStadium, Campaign: demoWatchParty}
		if err := publish(to, "party=stadium", friends(xbl.MaxInvitedUsers)); err != nil {
			return err
		}
	}
	player, game := time.NewTicker(demoPlayers), time.NewTicker(demoGame)
	defer player.Stop()
	defer game.Stop()
	for n := 0; ; n++ {
		select {
		case <-player.C:
			err = publish(queue.Address{TitleID: demoTitle, Sender: demoLobby}, fmt.Sprint("lobby=", n), friends(2))
		case <-game.C:
			_, _ = useUpQuota(ctx, w.cfg.XBL.BaseURL) // the game is refused as well, now and then
			err = publish(queue.Address{TitleID: demoTitle, Sender: demoBusy}, "lobby=busy", friends(4))
		case <-ctx.Done():
			return nil
		}
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func printHowToLook(out io.Writer, w *worker, api string) {
	fmt.Fprintf(out, `
Everything is still running, and goes on: a campaign of %[6]s recipients, players, and what goes wrong. Ctrl-C ends it.

  console   http://%[1]s/
  metrics   http://%[1]s/metrics
  health    http://%[1]s/readyz
  NATS      %[2]s   (nats --server %[2]s stream ls)
  ledger    http://%[3]s/ledger

Send an invite, and see how it ends:

  export INVITED_NATS_URL=%[2]s
  go run ./cmd/invitectl send --title %[4]d --sender %[5]s --to 2533274790395904 --wait
`, w.adminAddress, w.natsURL, api, demoTitle, demoLobby, "20,000")
}

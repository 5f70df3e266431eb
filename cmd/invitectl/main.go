// Command invitectl is for producers and operators of invited: it publishes
// invite jobs and looks at what came of them. It talks to NATS only.
//
//	invitectl send --title 1739947436 --to 2533274790395904 --wait
//	invitectl campaign start spring-cup --title 1739947436 --file players.csv
//	invitectl dead ls --reason rejected --since 24h
//
// It ends with status 0 when it did what was asked, 1 when it failed, 2 on wrong use.
package main

import "github.com/invitedhq/invited/cmd/internal/cli"

func main() { cli.Main(newCommand) }

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

func newStatusCommand(t *tool) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which workers there are, who owns what, what waits, and who is blocked",
		Long: `status shows what all workers together look like from NATS: those that have a lease, the partitions of each, and those that
nobody owns (their jobs wait); the jobs that wait in each lane; dead letters; senders and titles that the service told to wait, and
those that have no token, and why.`,
		Example: `  invitectl status
  invitectl status --json | jq '.partitions[] | select(.owner == null)'`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return t.status(cmd.Context()) },
	}
}

func (t *tool) status(ctx context.Context) error {
	conn, err := t.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	reader, err := queue.NewReader(conn)
	if err != nil {
		return err
	}
	seen, err := reader.Overview(ctx)
	if err != nil {
		return err
	}
	return t.printOverview(seen)
}

// The items of status as --json prints it. Times are by the server's clock.
type (
	overviewItem struct {
		At               time.Time            `json:"at"`
		Workers          []workerItem         `json:"workers"`
		Partitions       []partitionItem      `json:"partitions"`
		Queues           []laneItem           `json:"queues"`
		CampaignsWaiting int                  `json:"campaignsWaiting"` // of which a job waits
		DeadLetters      map[queue.Reason]int `json:"deadLetters"`
		Blocked          []blockedItem        `json:"blocked"`
		NoToken          []lackingItem        `json:"noToken"`
	}
	workerItem struct {
		Name       string    `json:"name"`
		Since      time.Time `json:"since,omitzero"`
		Leaving    bool      `json:"leaving"`
		Partitions []int     `json:"partitions"`
	}
	partitionItem struct {
		Partition int       `json:"partition"`
		Owner     *string   `json:"owner"` // null: nobody's
		Before    string    `json:"before,omitzero"`
		Since     time.Time `json:"since,omitzero"`
	}
	laneItem struct {
		Lane   string    `json:"lane"`
		Jobs   int       `json:"jobs"`
		Oldest time.Time `json:"oldest,omitzero"`
	}
	blockedItem struct {
		TitleID uint32    `json:"titleId"`
		Sender  string    `json:"sender"`
		Until   time.Time `json:"until"`
		Seconds float64   `json:"seconds"` // until then
	}
	lackingItem struct {
		TitleID uint32    `json:"titleId"`
		Sender  string    `json:"sender"`
		Since   time.Time `json:"since"`
		Why     string    `json:"why"`
	}
)

func itemOfOverview(o queue.Overview) overviewItem {
	item := overviewItem{
		At: o.At.UTC(), CampaignsWaiting: o.Campaigns, DeadLetters: make(map[queue.Reason]int),
		Workers: []workerItem{}, Partitions: []partitionItem{}, Blocked: []blockedItem{}, NoToken: []lackingItem{},
	}
	owned := make(map[string][]int)
	for _, p := range o.Partitions {
		i := partitionItem{Partition: p.Partition, Before: p.Before, Since: p.Since.UTC()}
		if p.Owner != "" {
			i.Owner = &p.Owner
			owned[p.Owner] = append(owned[p.Owner], p.Partition)
		}
		item.Partitions = append(item.Partitions, i)
	}
	for _, w := range o.Workers {
		item.Workers = append(item.Workers, workerItem{w.Name, w.Since.UTC(), w.Leaving, append([]int{}, owned[w.Name]...)})
	}
	for _, l := range o.Lanes {
		item.Queues = append(item.Queues, laneItem{l.Lane.String(), l.Jobs, l.Oldest.UTC()})
	}
	for _, d := range o.Dead {
		item.DeadLetters[d.Reason] = d.Letters
	}
	for _, b := range o.Blocked {
		item.Blocked = append(item.Blocked, blockedItem{b.TitleID, b.Sender, b.Until.UTC(), b.Until.Sub(o.At).Seconds()})
	}
	for _, k := range o.NoToken {
		item.NoToken = append(item.NoToken, lackingItem{k.TitleID, k.Sender, k.Since.UTC(), k.Why})
	}
	return item
}

// printOverview gives times as how long ago and how long still: clocks differ, and nobody has to subtract.
func (t *tool) printOverview(o queue.Overview) error {
	item := itemOfOverview(o)
	if t.json {
		return t.printJSON(item)
	}
	var b strings.Builder
	paint := styleOf(t.out)
	printWorkers(&b, item, paint)
	printQueues(&b, item, paint)
	if len(item.Blocked) > 0 {
		fmt.Fprintf(&b, "\n%s\n", paint.paint(bold, "blocked: the service told them to wait"))
		list := table{head: []string{"  TITLE", "SENDER", "OPENS IN"}, right: []bool{2: true}}
		for _, k := range item.Blocked {
			list.add(cell{text: fmt.Sprintf("  %d", k.TitleID)}, cell{text: k.Sender}, cell{span(k.Until.Sub(item.At)), yellow})
		}
		_ = list.write(&b, paint) // into memory
	}
	printLacking(&b, item, paint)
	_, err := fmt.Fprint(t.out, b.String())
	return err
}

func printLacking(b *strings.Builder, item overviewItem, paint style) {
	if len(item.NoToken) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%s\n", paint.paint(bold, "without a token: their jobs wait for one, and none is lost"))
	list := table{head: []string{"  TITLE", "SENDER", "FOR", "WHY"}, right: []bool{2: true, 3: false}}
	for _, k := range item.NoToken {
		list.add(cell{text: fmt.Sprintf("  %d", k.TitleID)}, cell{text: k.Sender}, cell{span(item.At.Sub(k.Since)), red},
			cell{text: cli.Printable(k.Why)})
	}
	_ = list.write(b, paint) // into memory
}

func printWorkers(b *strings.Builder, item overviewItem, paint style) {
	head := plural(len(item.Workers), "worker")
	if len(item.Workers) == 0 {
		head = paint.paint(red, "no worker: nothing is sent until one runs")
	}
	fmt.Fprintln(b, paint.paint(bold, head))
	list := table{head: []string{"  WORKER", "UP", "PARTITIONS", ""}, right: []bool{1: true, 3: false}}
	for _, w := range item.Workers {
		up := "?"
		if !w.Since.IsZero() {
			up = span(item.At.Sub(w.Since))
		}
		state := cell{}
		if w.Leaving {
			state = cell{"stopping", yellow}
		}
		list.add(cell{text: "  " + cli.Printable(w.Name)}, cell{text: up}, cell{text: cli.Ranges(w.Partitions)}, state)
	}
	if len(item.Workers) > 0 {
		_ = list.write(b, paint)
	}
	var alone []int
	had := make(map[string][]int)
	for _, p := range item.Partitions {
		if p.Owner == nil {
			alone = append(alone, p.Partition)
			had[p.Before] = append(had[p.Before], p.Partition)
		}
	}
	delete(had, "") // those that nobody ever had
	if len(alone) > 0 {
		fmt.Fprintf(b, "  %s\n", paint.paint(red, fmt.Sprintf("nobody's, so that their jobs wait: %s of %s: %s", grouped(len(alone)),
			plural(len(item.Partitions), "partition"), cli.Ranges(alone))))
		for _, worker := range slices.Sorted(maps.Keys(had)) {
			fmt.Fprintf(b, "  %s had %s before\n", cli.Printable(worker), cli.Ranges(had[worker]))
		}
	}
}

func printQueues(b *strings.Builder, item overviewItem, paint style) {
	fmt.Fprintf(b, "\n%s\n", paint.paint(bold, "waiting"))
	list := table{head: []string{"  LANE", "JOBS", "OLDEST", ""}, right: []bool{1: true, 2: true, 3: false}}
	for _, l := range item.Queues {
		oldest, of := "", ""
		if !l.Oldest.IsZero() {
			oldest = span(item.At.Sub(l.Oldest))
		}
		if l.Lane == queue.Bulk.String() && item.CampaignsWaiting > 0 {
			of = "of " + plural(item.CampaignsWaiting, "campaign")
		}
		list.add(cell{text: "  " + l.Lane}, cell{text: grouped(l.Jobs)}, cell{text: oldest}, cell{text: of})
	}
	_ = list.write(b, paint)
	letters := 0
	for _, n := range item.DeadLetters {
		letters += n
	}
	dead := "no dead letters"
	if letters > 0 {
		dead = paint.paint(red, plural(letters, "dead letter")) + ": " + reasonsOf(item.DeadLetters)
	}
	fmt.Fprintf(b, "\n%s\n", dead)
}

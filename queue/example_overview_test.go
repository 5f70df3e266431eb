package queue_test

import (
	"context"
	"fmt"
	"log"

	"github.com/invitedhq/invited/queue"
)

// Who works, and what waits: for a dashboard, or an alert when jobs wait and nobody owns their partition.
func ExampleReader_Overview() {
	nc, stop := natsForExamples()
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()}) // it makes the streams, and takes nothing yet
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	publisher, err := queue.NewPublisher(nc)
	if err != nil {
		log.Fatal(err)
	}
	address := queue.Address{TitleID: 1234567890, Sender: "party-service"}
	if _, err := publisher.Publish(ctx, address, queue.Job{InvitedUsers: []queue.XUID{1, 2}}); err != nil {
		log.Fatal(err)
	}

	reader, err := queue.NewReader(nc)
	if err != nil {
		log.Fatal(err)
	}
	seen, err := reader.Overview(ctx)
	if err != nil {
		log.Fatal(err)
	}
	alone := 0
	for _, p := range seen.Partitions {
		if p.Owner == "" {
			alone++
		}
	}
	fmt.Println(len(seen.Workers), "workers;", alone, "of", len(seen.Partitions), "partitions are nobody's")
	for _, l := range seen.Lanes {
		fmt.Println(l.Jobs, "jobs wait in", l.Lane)
	}
	// Output:
	// 0 workers; 16 of 16 partitions are nobody's
	// 1 jobs wait in interactive
	// 0 jobs wait in bulk
}

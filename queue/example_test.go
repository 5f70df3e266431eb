package queue_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded"
)

// natsForExamples stands for a NATS server that is there.
func natsForExamples() (nc *nats.Conn, stop func()) {
	dir, err := os.MkdirTemp("", "invited-example")
	if err != nil {
		log.Fatal(err)
	}
	server, err := embedded.Start(embedded.Options{DataDir: dir, Sync: embedded.Interval, Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	if nc, err = server.Conn(); err != nil {
		log.Fatal(err)
	}
	return nc, func() {
		nc.Close()
		server.Shutdown()
		_ = os.RemoveAll(dir)
	}
}

// A producer publishes a job and knows that it will be sent or end as a dead
// letter.
func ExamplePublisher_Publish() {
	nc, stop := natsForExamples() // or queue.Connect
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()}) // "invited serve" does this
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()

	publisher, err := queue.NewPublisher(nc)
	if err != nil {
		log.Fatal(err)
	}
	address := queue.Address{TitleID: 1234567890, Sender: "party-service"}
	job := queue.Job{
		ID:               "party-42",
		InvitedUsers:     []queue.XUID{2533274790395904, 2533274790395905},
		ConnectionString: "session/42",
		ExpiresAt:        time.Now().Add(time.Minute),
	}
	receipt, err := publisher.Publish(ctx, address, job, queue.WithMsgID("party-42"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("stored in", receipt.Stream, "as", receipt.Sequence)

	// Publishing it again after an unclear answer does no harm.
	receipt, err = publisher.Publish(ctx, address, job, queue.WithMsgID("party-42"))
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("a repeat:", receipt.Duplicate)
	// Output:
	// stored in INVITES as 1
	// a repeat: true
}

// Many jobs go out without waiting for each; their receipts are collected after.
func ExamplePublisher_PublishAsync() {
	nc, stop := natsForExamples()
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()

	publisher, err := queue.NewPublisher(nc)
	if err != nil {
		log.Fatal(err)
	}
	address := queue.Address{TitleID: 1234567890, Sender: "news", Campaign: "spring-event"}
	var futures []*queue.Future
	for i := range 1000 {
		future, err := publisher.PublishAsync(ctx, address, queue.Job{InvitedUsers: []queue.XUID{queue.XUID(1000 + i)}})
		if err != nil {
			log.Fatal(err)
		}
		futures = append(futures, future)
	}
	stored := 0
	for _, future := range futures {
		switch _, err := future.Wait(ctx); {
		case err == nil:
			stored++
		case errors.Is(err, queue.ErrFull):
			fmt.Println("the queue is full: go on later")
		default:
			log.Fatal(err)
		}
	}
	fmt.Println(stored, "stored")
	// Output: 1000 stored
}

// A service starts a campaign for all players of a tournament. When it is
// interrupted, it does the same again: only what is missing is stored.
func ExampleOrganizer_Start() {
	nc, stop := natsForExamples()
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()

	rows := func(yield func(queue.XUID) bool) { // stands for those of a database
		for i := range 50_000 {
			if !yield(queue.XUID(2533274790000000 + i/2)) {
				return
			}
		}
	}
	var recipients queue.Recipients
	fmt.Println(recipients.AddAll(rows), "repeats left out")
	recipients.Compact()
	organizer, err := queue.NewOrganizer(ctx, nc)
	if err != nil {
		log.Fatal(err)
	}
	order := queue.CampaignOrder{
		Address:          queue.Address{TitleID: 1234567890, Sender: "cup", Campaign: "finals"},
		ConnectionString: "lobby=finals",
	}
	for range 2 {
		upload, err := organizer.Start(ctx, order, &recipients, func(u queue.Upload) {
			_ = u.Stored // of u.Recipients: for a progress bar
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(upload.Stored-upload.Before, "of", upload.Recipients, "stored now, in", upload.Jobs, "jobs")
	}
	// Output:
	// 25000 repeats left out
	// 25000 of 25000 stored now, in 1563 jobs
	// 0 of 25000 stored now, in 1563 jobs
}

// A campaign is stopped, goes on slower, and is cancelled.
func ExampleOrganizer_Pause() {
	nc, stop := natsForExamples()
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	organizer, err := queue.NewOrganizer(ctx, nc)
	if err != nil {
		log.Fatal(err)
	}
	var recipients queue.Recipients
	recipients.Add(2533274790395904)
	order := queue.CampaignOrder{
		Address: queue.Address{TitleID: 1234567890, Sender: "cup", Campaign: "finals"},
		StartAt: time.Now().Add(time.Hour), // nothing is sent before
	}
	if _, err := organizer.Start(ctx, order, &recipients, nil); err != nil {
		log.Fatal(err)
	}
	show := func(_ queue.CampaignTerms, err error) {
		if err != nil {
			log.Fatal(err)
		}
		status, err := organizer.Status(ctx, order.Address)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(status.State, status.Terms.Rate)
	}
	show(organizer.Pause(ctx, order.Address))
	show(organizer.SetRate(ctx, order.Address, 0.5)) // recipients per second
	show(organizer.Resume(ctx, order.Address))
	show(organizer.Cancel(ctx, order.Address)) // a worker drops what is unsent
	// Output:
	// paused 0
	// paused 0.5
	// scheduled 0.5
	// cancelling 0.5
}

// How long a campaign takes at the quota that holds, before it is started.
func ExampleOrganizer_Forecast() {
	nc, stop := natsForExamples()
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	organizer, err := queue.NewOrganizer(ctx, nc)
	if err != nil {
		log.Fatal(err)
	}

	address := queue.Address{TitleID: 1234567890, Sender: "cup", Campaign: "finals"}
	outlook, err := organizer.Outlook(ctx, address) // or organizer.Forecast(ctx, address, 100_000)
	if err != nil {
		log.Fatal(err)
	}
	if !outlook.Announced { // no worker has run yet
		outlook.Windows = []queue.Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 5 * time.Minute}}
	}
	forecast := outlook.Forecast(queue.Work{Recipients: 100_000})
	fmt.Println(forecast.Calls, "calls take at least", forecast.Least)
	// Output: 6250 calls take at least 10h21m45s
}

// How a campaign gets on, whoever published its jobs.
func ExampleOrganizer_Status() {
	nc, stop := natsForExamples()
	defer stop()
	ctx := context.Background()
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	publisher, err := queue.NewPublisher(nc)
	if err != nil {
		log.Fatal(err)
	}
	address := queue.Address{TitleID: 1234567890, Sender: "cup", Campaign: "finals"}
	if _, err := publisher.Publish(ctx, address, queue.Job{InvitedUsers: []queue.XUID{1, 2}}); err != nil {
		log.Fatal(err)
	}

	organizer, err := queue.NewOrganizer(ctx, nc)
	if err != nil {
		log.Fatal(err)
	}
	all, err := organizer.Campaigns(ctx, queue.CampaignFilter{})
	if err != nil {
		log.Fatal(err)
	}
	for _, a := range all {
		s, err := organizer.Status(ctx, a)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(a.Campaign, "is", s.State, "with", s.Waiting, "job;", s.Sent, "sent,", s.DeadRecipients(), "dead")
	}
	// Output: finals is waiting with 1 job; 0 sent, 0 dead
}

// A campaign is watched to its end; what ended of jobs that go on is counted too.
func ExampleOrganizer_Watch() {
	nc, stop := natsForExamples()
	defer stop()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	consumed := make(chan error)
	go func() { // stands for a worker that sends
		consumed <- worker.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) {
			worker.Settle(ctx, d, queue.Ending{Sent: len(d.Job.InvitedUsers), Attempts: 1, EndedAt: time.Now()}, func(error) {})
		}))
	}()
	organizer, err := queue.NewOrganizer(ctx, nc)
	if err != nil {
		log.Fatal(err)
	}
	var recipients queue.Recipients
	for x := range 100 {
		recipients.Add(queue.XUID(2533274790000000 + x))
	}
	order := queue.CampaignOrder{Address: queue.Address{TitleID: 1234567890, Sender: "cup", Campaign: "finals"}}
	if _, err := organizer.Start(ctx, order, &recipients, nil); err != nil {
		log.Fatal(err)
	}

	for s, err := range organizer.Watch(ctx, order.Address, 100*time.Millisecond) {
		if err != nil {
			log.Fatal(err)
		}
		_ = s.Rate // recipients a second, for a bar that says how long it takes
		if s.State == queue.CampaignEnded {
			fmt.Println(s.Sent, "of", s.Recipients, "sent,", s.DeadRecipients(), "dead")
			break
		}
	}
	cancel()
	<-consumed
	// Output: 100 of 100 sent, 0 dead
}

// To wait for a job's end, watch first and publish then.
func ExampleReader_WatchResults() {
	nc, stop := natsForExamples()
	defer stop()
	ctx, cancel := context.WithCancel(context.Background())
	worker, err := queue.Open(ctx, nc, queue.Options{Logger: discard()})
	if err != nil {
		log.Fatal(err)
	}
	defer worker.Close()
	consumed := make(chan error)
	go func() { // stands for a worker that sends
		consumed <- worker.Consume(ctx, queue.DeliverFunc(func(d *queue.Delivery) {
			worker.Settle(ctx, d, queue.Ending{Sent: len(d.Job.InvitedUsers), Attempts: 1, EndedAt: time.Now()}, func(error) {})
		}))
	}()

	address := queue.Address{TitleID: 1234567890, Sender: "party-service"}
	reader, err := queue.NewReader(nc)
	if err != nil {
		log.Fatal(err)
	}
	watch, err := reader.WatchResults(ctx, address)
	if err != nil {
		log.Fatal(err)
	}
	defer watch.Stop()
	publisher, err := queue.NewPublisher(nc)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := publisher.Publish(ctx, address, queue.Job{ID: "party-42", InvitedUsers: []queue.XUID{1, 2}}); err != nil {
		log.Fatal(err)
	}
	result, err := watch.Next(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(result.ID, "sent to", result.Sent)
	cancel()
	<-consumed
	// Output: party-42 sent to 2
}

// Package queue keeps invite jobs in NATS JetStream: how a job is written, where
// it waits, who gets it, and how its end is recorded. It is the only package
// that knows JetStream.
//
// # For producers
//
// A job is a JSON message on a subject that says whose it is. Any NATS client
// can publish one; in Go, a [Publisher] does and checks it first:
//
//	nc, err := queue.Connect(queue.ConnectOptions{URL: "nats://127.0.0.1:4222"})
//	…
//	publisher, err := queue.NewPublisher(nc)
//	…
//	receipt, err := publisher.Publish(ctx,
//		queue.Address{TitleID: 1234567890, Sender: "party-service"},
//		queue.Job{InvitedUsers: []queue.XUID{2533274790395904}, ConnectionString: session},
//		queue.WithMsgID(orderID))
//
// When Publish returns a [Receipt], the job will end as sent or as a dead letter,
// whatever happens. When it returns an error, publish again with the same message
// ID: a repeat within ten minutes is dropped. An [Address] with a campaign is for
// bulk jobs; without one a player is waiting.
//
// A [Reader] shows how jobs ended: [Reader.WatchResults] as they end,
// [Reader.Results] for the last day, [Reader.DeadLetters] for what was not sent
// in the last thirty. Publishing a dead letter's body again on its subject is a
// replay. [Reader.Overview] says who works, and what waits.
//
// # For campaigns
//
// An [Organizer] stores a campaign's jobs, sixteen recipients each, so that the
// upload can be interrupted anywhere and gone on with, and says how campaigns get on:
//
//	var recipients queue.Recipients
//	repeats := recipients.AddAll(players) // an iter.Seq[queue.XUID]
//	recipients.Compact()
//	organizer, err := queue.NewOrganizer(ctx, nc)
//	…
//	order := queue.CampaignOrder{Address: queue.Address{TitleID: 1234567890, Sender: "cup", Campaign: "finals"}}
//	upload, err := organizer.Start(ctx, order, &recipients, nil)
//	…
//	status, err := organizer.Status(ctx, order.Address)
//
// [Organizer.Pause], [Organizer.Resume], [Organizer.Cancel], [Organizer.SetRate]
// and [Organizer.SetStart] steer it while it is under way. [Organizer.Forecast]
// says how long one would take, and [Organizer.TimeLeft] how long what is left of
// one takes: at least, at the quota that holds now. All of that works as well for
// campaigns whose jobs any client publishes on their subject.
//
// # For workers
//
// [Open] creates the streams and returns a [Queue]:
//
//	q, err := queue.Open(ctx, nc, queue.Options{})
//	…
//	err = q.Consume(ctx, worker)
//
// A [Worker] is told which partitions are its own, and gets their jobs. It may
// send while [Queue.Lease] lasts, and says how each job ended:
//
//	q.Settle(ctx, d, queue.Ending{Sent: 1, Attempts: 1, EndedAt: time.Now()}, func(err error) { … })
//
// A [Delivery] is a lease on a message: call [Delivery.Extend] well within
// Options.AckWait, or it comes again. What is no job is delivered too, with the reason
// in Invalid, so that it ends as a dead letter like any other.
//
// [Queue.Settle] stores the dead letters, then the result, and acknowledges the
// job last. A job of which only a part has ended is kept with
// [Queue.SaveProgress]; the progress comes with its next delivery, in whatever
// worker.
//
// # Where things are
//
//	INVITES           invites.jobs.<titleId>.<sender>                  work queue, in partitions
//	INVITE_CAMPAIGNS  invites.campaigns.<titleId>.<sender>.<campaign>  work queue, a consumer per campaign
//	INVITE_DEAD       invites.dead.<titleId>.<reason>                  30 days
//	INVITE_RESULTS    invites.results.<titleId>.<sender>.<campaign>    24 hours
//	INVITE_PROGRESS   invites.progress.<stream>.<titleId>.<sender>.<campaign>.<sequence>
//	                                                                   internal: until the job ends
//	INVITE_KEYS       invites.keys.<n>.<titleId>.<sender>              internal: as long as it matters
//	INVITE_WORKERS    invites.workers.alive.<worker>, …owner.<n>       internal: the last word of each
//	INVITE_CONTROL    invites.control.order.<titleId>.<sender>.<campaign>, …tally.…, …terms.…, …through, …quota
//	                                                                   internal: the last word of each
//
// The server stores a job of invites.jobs under invites.part.<n>.<titleId>.<sender>,
// where n, the partition, follows from title and sender. Each partition has one
// durable consumer, and each campaign; all those of one partition are one
// worker's at a time. So all jobs of a sender and title are in one hand, and that
// worker alone keeps the service's limits for them. See [Queue.Consume].
//
// # What is promised, and by what
//
//   - A full queue refuses new jobs; it never drops old ones: discard policy, and
//     [Open] refuses a stream that would.
//   - A job is gone from its queue only after its end is stored: the order in
//     Settle.
//   - An end is stored once: message IDs made of the job's stream, sequence and
//     time.
//   - A job whose end is stored is not handed over again, though a crash took its
//     acknowledgement: who takes over from a worker that is gone reads the recent
//     results first, and acknowledges what is among them.
//   - A campaign's upload stores each recipient once, however often it is
//     interrupted: each batch of jobs is stored whole or not at all, and written
//     down before it is sent.
//   - A paused campaign is fetched by nobody, and a cancelled one's jobs are
//     dropped: no campaign's source begins before the worker knows its terms.
//   - A campaign's counts are exact: a tally says up to which result it has added
//     them, and a result that took another's place says what that one was.
//   - No two workers send for one key at the same time: a lease, which is the
//     worker's, and a record for each partition of whose it is.
package queue

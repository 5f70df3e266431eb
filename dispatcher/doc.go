// Package dispatcher runs a worker: it takes jobs from the queue, makes the
// calls that package plan decides on, and stores how each job ended.
//
//	d := dispatcher.New(cfg, client, q, q, observer)
//	go q.Consume(ctx, d)   // jobs in
//	err := d.Run(ctx)      // until ctx ends, then an orderly stop
//
// What to send, and when, is decided in dispatcher/plan, a pure core that is
// told the time. This package is the thin shell around it: one loop that owns
// the core, one goroutine for each call in flight, and timers. The loop never
// waits for the network: calls and stored endings report back to it.
//
//	queue.Consume ──Deliver──►  loop ──► call (a goroutine each) ──► xbl.Client
//	                             ▲  │                     │
//	                             │  └──► Store.Settle ──┐ │
//	                             └───── stored ◄────────┘ │
//	                             └───── answered ◄────────┘
//
// A delivery is a lease on a message in the work queue. The loop extends the
// leases of all jobs it holds, acknowledges a message only after the job's
// result and dead letters are stored, and remembers what it settled, so that a
// message that comes again (its acknowledgement was lost with a server) is
// acknowledged again and not sent again.
//
// What it may send is the queue's to say: partitions come and go (Own, Disown),
// and a call is made only while the worker's own lease lasts (Tenure).
package dispatcher

// Package console is the worker's own pages, at / of the admin listener: what
// all workers do, campaigns, dead letters, and a job by its id. It needs nothing
// else installed: no database, no Prometheus, no outside request.
//
//	c, err := console.New(console.Options{Admin: cfg.Admin, Log: log, …})
//	mux.Handle("/", c)                                   // it answers from now on
//	d := dispatcher.New(…, c.Observe(metrics))           // counts go through it
//	end := c.Begin(console.Worker{Queue: q, Dispatcher: d, Connect: connect})
//	defer end()                                          // open pages end with the worker
//
// Pages are made here, with html/template, and work without JavaScript. With it,
// a page that shows what goes on is made anew every two seconds, once for all
// who look at it, and sent by server-sent events.
//
// What a page shows of all workers is what they tell each other once a second
// anyway (queue.Activities), three counts of streams, and for campaigns and dead
// letters some requests: see collector.go for what is gathered when. So open
// pages cost the same whichever worker they are of, and ten cost as much as one.
//
// Everything from outside (jobs, letters, answers of the API) is hostile: see
// text.go. Who may do what: see guard.go and auth.go.
package console

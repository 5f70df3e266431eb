// Package plan decides what an invite worker sends next. It is the pure core
// of the dispatcher: every method takes the time it is called at and returns
// values; no goroutine, clock, socket or lock is in here, so ten hours of
// throttling are tested in milliseconds.
//
// A [Planner] is told two things and answers one question:
//
//	p.Add(now, job)            // a job was delivered: it is parked under its key
//	p.Answer(now, call, err)   // a call that Next returned has ended
//	step := p.Next(now)        // which calls to make now, which jobs ended, when to ask again
//
// Beside that it can be told to stop or to pause, to drop a job that is
// another worker's by now, and what is known of a key from before; and it says
// what of that is worth keeping: Stop, Pause, Drop, Remember, Changed.
//
// A [Key] is what the service limits: one sender and one title. Jobs wait
// under their key, grouped by what may share a call, and a call is composed
// only at the moment its key may make one: waiting fills calls at no cost, and
// an idle key sends at once.
//
// What holds a key back, in the order it is asked (see key.hold): calls in
// flight, a Retry-After, a missing token, an outage of its title, its quota.
// What an answer does to the jobs of its call is one switch: Planner.Answer.
//
// A Planner is not safe for concurrent use: the dispatcher's loop owns it.
// Times should carry Go's monotonic reading, so that a step of the wall clock
// neither opens nor closes a quota window, and lets no job expire.
package plan

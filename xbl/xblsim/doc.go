// Package xblsim is a stand-in for the part of the Xbox service that sends game invites.
//
// It answers POST /titles/{titleId}/invites and POST /titles/{titleId}/invites/server as the service
// does, keeps a quota, fails in the ways a network and a service fail, and writes down what happened.
// Tests, staging systems and load tests use it in place of the service:
//
//	sim := xblsim.New(xblsim.Options{
//		Quota: []xblsim.Window{{Max: 7, Per: 15 * time.Second}, {Max: 50, Per: 300 * time.Second}},
//	})
//	server := httptest.NewServer(sim)
//	defer server.Close()
//	// … send invites to server.URL …
//	fmt.Println(sim.Ledger())         // calls, refusals, recipients, duplicates
//	fmt.Println(sim.Sent(1739947436)) // how often each player got an invite
//
// # An oracle
//
// A test asks the simulator whether the worker kept its promises, so the simulator shares no code with
// the worker and is stricter than the real service. It refuses a request for anything that is not exactly
// as documented: a repeated field, an empty connectionString, a number where a string belongs. Everything
// counts against the quota: refused calls, invalid requests, calls that failed.
//
// # Quota
//
// A key is what the service limits: a token and a title, and on /invites/server also the sender, since
// there one token speaks for many users. Each key has the fixed windows of [Options.Quota]. A window begins
// at the first call after the previous one ended, and every call counts in every window. When a window
// already holds its maximum, the call is answered 429 with the seconds until that window ends.
//
// # Ledger
//
// [Ledger] is the record of all calls and recipients; [Server.Sent] has the players one by one. The figure
// to watch is InBlock: calls that came although the key had been told to wait. A call that arrived before
// the answer with the Retry-After went out is no such call; for those that were still on the network then
// there is [Options.InFlightGrace].
//
// # Faults
//
// [Faults] makes calls fail: 500, 503, connections that drop before or after the call was recorded, slow
// answers, players and tokens that are refused, or an outage of everything. They are drawn from a seeded
// source and can be changed while the server runs, with [Server.SetFaults] or PUT /faults.
//
// # Tokens
//
// Without more, any token of the documented form is good. With [Options.Auth], package auth beside this one plays the services that issue
// tokens, and calls need one of theirs and a signature:
//
//	service := auth.New(auth.Options{ClientCAs: authority.Pool()})
//	sim := xblsim.New(xblsim.Options{Auth: service})
//
// A key's user is whoever the token is for then, so that a new token is no new quota.
//
// # Time
//
// The simulator takes time from package time, starts no goroutine, and so also runs in fake time, in a
// bubble of testing/synctest.
package xblsim

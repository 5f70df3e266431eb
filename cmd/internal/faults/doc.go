// Package faults breaks the real programs, and shows what they keep. It has tests only: each starts workers, NATS servers and
// xblsim as processes of their own, puts them under load, breaks something, heals it, and then accounts for everything:
//
//   - each recipient that a stream accepted was sent or is in a dead letter
//   - nobody was sent more often than once, but in calls whose outcome was unknown; the result of each says maybeDuplicate
//   - each job has one result, and its counts are what the simulator's ledger and the dead letters say
//   - the workers' metrics say the same, where no worker was killed
//   - no call came inside a Retry-After, and none was refused
//
// The short form is part of go test ./... . The long form does more rounds of each fault:
//
//	go test ./cmd/internal/faults -rounds 10 -timeout 0 -v
//
// An outage of the API takes 6 s in the short form, and 60 s from -rounds 10 on; of hostile messages there are 20,000, and 100,000
// from -rounds 5 on. With the race detector loads are smaller and bounds of time wider, by harness.Slower. A disk that is really
// full needs a file system of its own, so root: max_file_store stands for it.
//
// With -v each test prints its line of docs/reliability.md.
package faults

// Package harness runs the project's programs, and NATS servers, as processes of their own, for tests and benchmarks of what
// only whole processes show: kills, restarts, several workers, memory. Only tests import it.
//
//	var programs harness.Programs // once in a test binary; TestMain ends with programs.Remove()
//
//	func TestX(t *testing.T) {
//		nats := programs.NATS(t)                 // or Cluster: three nodes, three replicas
//		sim := programs.Sim(t, "--quota", "7/15s,50/300s")
//		worker := programs.Worker(t, harness.WorkerOptions{NATS: nats.URL(), API: sim.URL})
//		…                                        // publish with nats.Connect(t)
//		worker.Kill()                            // kill -9
//		worker.Start()                           // the same again: address, configuration, directories
//		nats.Servers[0].Pause()                  // SIGSTOP; Resume goes on
//		person := programs.Terminal(t, 80, 24, nil, harness.Invitectl, "status") // looks, types, resizes
//		fmt.Println(sim.Ledger(), worker.Metrics().Sum("invited_calls_total"))
//	}
//
// Each program is built when it is first asked for, with the race detector if the test has it. A race that a process finds
// fails its test. Addresses are chosen once and kept, so that what is restarted is found again by those who know it.
//
// What a process wrote to its error output is kept, and is shown when the test fails. When the test ends, so do its processes;
// on Linux they also end with a test binary that is killed.
//
// A helper that can't do its work fails the test. So call them from the test's own goroutine.
package harness

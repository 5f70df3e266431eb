// Package bareloop is the least that can take jobs from JetStream: a work queue, one consumer, a handler, and an acknowledgement of
// what was handled. It keeps none of the promises of package queue: no job is tried again, none is a dead letter, nobody is told how
// it ended unless that is asked for, and nothing is known after a crash. So it says how fast NATS and its client are on a machine,
// and benchmarks hold the worker against it. It is for tests.
package bareloop

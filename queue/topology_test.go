package queue_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
	"github.com/invitedhq/invited/queue/embedded/embeddedtest"
)

func TestOpenCreatesTheStreamsOfTheContract(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{Partitions: 8})
	config := func(name string) jetstream.StreamConfig {
		s, err := f.js.Stream(t.Context(), name)
		require.NoError(t, err)
		return s.CachedInfo().Config
	}
	subjects := map[string]string{
		"INVITES": "invites.jobs.*.*", "INVITE_CAMPAIGNS": "invites.campaigns.*.*.*",
		"INVITE_DEAD": "invites.dead.*.*", "INVITE_RESULTS": "invites.results.*.*.*", "INVITE_PROGRESS": "invites.progress.>",
		"INVITE_CONTROL": "invites.control.>",
	}
	for name, subject := range subjects {
		c := config(name)
		assert.Equal(t, []string{subject}, c.Subjects, name)
		assert.Equal(t, jetstream.FileStorage, c.Storage, name)
		assert.Equal(t, 10*time.Minute, c.Duplicates, name)
	}
	for _, name := range []string{"INVITES", "INVITE_CAMPAIGNS"} {
		assert.Equal(t, jetstream.WorkQueuePolicy, config(name).Retention, name)
		assert.Equal(t, jetstream.DiscardNew, config(name).Discard, "%s refuses when it is full", name)
		assert.Zero(t, config(name).MaxAge, "%s keeps a job until it ends", name)
	}
	assert.Equal(t, 30*24*time.Hour, config("INVITE_DEAD").MaxAge)
	assert.Equal(t, jetstream.LimitsPolicy, config("INVITE_DEAD").Retention, "dead letters can be browsed")
	assert.Equal(t, 24*time.Hour, config("INVITE_RESULTS").MaxAge)
	assert.EqualValues(t, 1, config("INVITE_PROGRESS").MaxMsgsPerSubject)
	assert.Contains(t, config("INVITES").SubjectTransform.Destination, "partition(8,1,2)")
}

func TestOpenLeavesExistingStreamsAlone(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{Partitions: 8})
	s, err := f.js.Stream(t.Context(), "INVITES")
	require.NoError(t, err)
	c := s.CachedInfo().Config
	c.Description, c.MaxBytes = "ours", 1<<20
	_, err = f.js.UpdateStream(t.Context(), c)
	require.NoError(t, err)

	again := connect(t, f.server)
	again.open(queue.Options{Partitions: 3})
	require.Equal(t, 8, again.queue.Partitions(), "the stream's number of partitions wins")
	s, err = f.js.Stream(t.Context(), "INVITES")
	require.NoError(t, err)
	require.Equal(t, c, s.CachedInfo().Config, "what an operator chose stays")
}

func TestManyWorkersOpenAtOnce(t *testing.T) {
	server := embeddedtest.Start(t)
	var group sync.WaitGroup
	for i := range 8 {
		nc := embeddedtest.Connect(t, server)
		group.Go(func() {
			q, err := queue.Open(t.Context(), nc, queue.Options{Partitions: 4 + i%2, Logger: discard()})
			if assert.NoError(t, err) {
				q.Close()
			}
		})
	}
	group.Wait()
}

func TestOpenRefusesAStreamThatWouldBreakAPromise(t *testing.T) {
	tests := []struct {
		setting, stream, wayOut string
		change                  func(*jetstream.StreamConfig)
	}{
		{"discard policy", "INVITES", "--discard=new", func(c *jetstream.StreamConfig) { c.Discard = jetstream.DiscardOld }},
		{"max age", "INVITE_CAMPAIGNS", "--max-age=0", func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour }},
		{"max messages per subject", "INVITES", "--max-msgs-per-subject", func(c *jetstream.StreamConfig) { c.MaxMsgsPerSubject = 5 }},
		{"retention", "INVITE_DEAD", "nats stream rm INVITE_DEAD", func(c *jetstream.StreamConfig) { c.Retention = jetstream.WorkQueuePolicy }},
		{"storage", "INVITE_RESULTS", "nats stream rm", func(c *jetstream.StreamConfig) { c.Storage = jetstream.MemoryStorage }},
		{"subjects", "INVITE_DEAD", "--subjects='invites.dead.*.*'", func(c *jetstream.StreamConfig) { c.Subjects = []string{"invites.dead.>"} }},
		{"duplicate window", "INVITE_RESULTS", "--dupe-window", func(c *jetstream.StreamConfig) { c.Duplicates = time.Minute }},
		{"subject transform", "INVITES", "nats stream rm", func(c *jetstream.StreamConfig) { c.SubjectTransform = nil }},
		{"subject transform", "INVITES", "nats stream rm", func(c *jetstream.StreamConfig) {
			c.SubjectTransform.Destination = strings.Replace(c.SubjectTransform.Destination, ",1,2", ",1", 1)
		}},
		{"no-ack", "INVITES", "--ack", func(c *jetstream.StreamConfig) { c.NoAck = true }},
		{"direct get", "INVITE_PROGRESS", "--no-allow-direct", func(c *jetstream.StreamConfig) { c.AllowDirect = true }},
	}
	model := open(t, embeddedtest.Start(t), queue.Options{})
	for i, test := range tests {
		t.Run(fmt.Sprint(i, " ", test.setting), func(t *testing.T) {
			s, err := model.js.Stream(t.Context(), test.stream)
			require.NoError(t, err)
			c := s.CachedInfo().Config
			f := connect(t, embeddedtest.Start(t))
			test.change(&c)
			_, err = f.js.CreateStream(t.Context(), c)
			require.NoError(t, err)
			_, err = queue.Open(t.Context(), f.nc, queue.Options{Logger: discard()})
			var topology *queue.TopologyError
			require.ErrorAs(t, err, &topology)
			assert.Equal(t, test.stream, topology.Stream)
			assert.Equal(t, test.setting, topology.Setting)
			assert.NotEqual(t, topology.Wanted, topology.Found)
			assert.Contains(t, topology.Error(), test.wayOut)
		})
	}
}

func TestOpenNamesTheStreamWhoseSubjectsAreTaken(t *testing.T) {
	f := connect(t, embeddedtest.Start(t))
	_, err := f.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{"invites.>"}})
	require.NoError(t, err)
	_, err = queue.Open(t.Context(), f.nc, queue.Options{Logger: discard()})
	require.ErrorContains(t, err, "INVITES")
	require.ErrorContains(t, err, "nats stream ls")
}

func TestOpenRefusesImpossibleOptions(t *testing.T) {
	f := connect(t, embeddedtest.Start(t))
	for want, o := range map[string]queue.Options{
		"partitions 1000": {Partitions: 1000}, "replicas 6": {Replicas: 6}, "ack wait 1ms": {AckWait: time.Millisecond},
		"above 0": {MaxPending: -1},
	} {
		_, err := queue.Open(t.Context(), f.nc, o)
		require.ErrorContains(t, err, want)
	}
}

func TestJobsOfOneKeyStayInOnePartitionAndKeysSpread(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{Partitions: 16})
	for i := range 800 {
		f.publish(queue.Address{TitleID: uint32(i%7 + 1), Sender: fmt.Sprint("sender-", i%400)}, job(""))
	}
	s, err := f.js.Stream(t.Context(), "INVITES")
	require.NoError(t, err)
	info, err := s.Info(t.Context(), jetstream.WithSubjectFilter(">"))
	require.NoError(t, err)
	partitions, partitionOf := map[string]int{}, map[string]string{}
	for subject := range info.State.Subjects {
		tokens := strings.SplitN(subject, ".", 4)
		partition, key := tokens[2], tokens[3]
		require.Empty(t, partitionOf[key], "all jobs of a key are in one partition")
		partitionOf[key] = partition
		partitions[partition]++
	}
	require.Len(t, partitions, 16, "many keys use all partitions: %v", partitions)
}

func TestCheckNoticesAMissingStreamAndALostConnection(t *testing.T) {
	f := open(t, embeddedtest.Start(t), queue.Options{})
	require.NoError(t, f.queue.Check(t.Context()))
	require.NoError(t, f.js.DeleteStream(t.Context(), "INVITE_RESULTS"))
	require.ErrorContains(t, f.queue.Check(t.Context()), "INVITE_RESULTS")
	f.nc.Close()
	require.ErrorContains(t, f.queue.Check(t.Context()), "CLOSED")
}

package queue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// TopologyError is a stream that is there but differs in a way that would break
// a promise. It is never changed by itself: it may hold jobs.
type TopologyError struct {
	Stream, Setting, Found, Wanted string
	WayOut                         string // a command for the nats command line, or what to do first
}

func (e *TopologyError) Error() string {
	return fmt.Sprintf("stream %s: %s is %s, but must be %s; %s", e.Stream, e.Setting, e.Found, e.Wanted, e.WayOut)
}

// differences compares a stream with what is wanted of it. What an operator may
// choose (replicas, limits that refuse, how long results are kept, placement,
// compression) is no difference.
func differences(found, want jetstream.StreamConfig) (differ []error) {
	add := func(setting string, found, wanted any, wayOut string) {
		differ = append(differ, &TopologyError{want.Name, setting, fmt.Sprint(found), fmt.Sprint(wanted), wayOut})
	}
	edit := func(flag string) string { return "run: nats stream edit " + want.Name + " " + flag }
	remove := "it can't be changed: when the stream is empty, run: nats stream rm " + want.Name + "; invited creates it again"

	if !slices.Equal(found.Subjects, want.Subjects) {
		add("subjects", strings.Join(found.Subjects, ", "), want.Subjects[0], edit("--subjects='"+want.Subjects[0]+"'"))
	}
	if found.Retention != want.Retention {
		add("retention", found.Retention, want.Retention, remove)
	}
	if found.Storage != want.Storage {
		add("storage", found.Storage, want.Storage, remove)
	}
	if found.PersistMode != want.PersistMode {
		add("persist mode", found.PersistMode, want.PersistMode, remove)
	}
	if found.Mirror != nil {
		add("mirror", found.Mirror.Name, "none", remove)
	}
	if found.Sealed {
		add("sealed", true, false, remove)
	}
	if found.NoAck {
		add("no-ack", true, false, edit("--ack"))
	}
	if found.Duplicates < want.Duplicates {
		add("duplicate window", found.Duplicates, want.Duplicates.String()+" or longer", edit("--dupe-window=10m"))
	}
	if found.MaxMsgsPerSubject != want.MaxMsgsPerSubject && want.MaxMsgsPerSubject > 0 {
		add("max messages per subject", found.MaxMsgsPerSubject, want.MaxMsgsPerSubject, edit("--max-msgs-per-subject=1"))
	}
	if found.AllowDirect && !want.AllowDirect {
		add("direct get", "on", "off", edit("--no-allow-direct"))
	}
	if want.AllowMsgTTL && !found.AllowMsgTTL {
		add("message TTL", "off", "on", edit("--allow-msg-ttl"))
	}
	if want.Retention == jetstream.WorkQueuePolicy {
		differ = append(differ, queueDifferences(found, want)...)
	}
	return append(differ, transformDifference(found, want)...)
}

// queueDifferences finds what would drop an accepted job.
func queueDifferences(found, want jetstream.StreamConfig) (differ []error) {
	add := func(setting string, found, wanted any, flag string) {
		differ = append(differ, &TopologyError{want.Name, setting, fmt.Sprint(found), fmt.Sprint(wanted),
			"run: nats stream edit " + want.Name + " " + flag})
	}
	if found.Discard != want.Discard {
		add("discard policy", found.Discard, want.Discard, "--discard=new")
	}
	if found.MaxAge > 0 {
		add("max age", found.MaxAge, "unlimited, because it drops jobs (expiresAt is per job)", "--max-age=0")
	}
	if found.MaxMsgsPerSubject > 0 && !found.DiscardNewPerSubject {
		add("max messages per subject", found.MaxMsgsPerSubject, "unlimited, because it drops older jobs", "--max-msgs-per-subject=-1")
	}
	return differ
}

func transformDifference(found, want jetstream.StreamConfig) []error {
	wayOut := "it can't be changed while there are jobs: when the stream is empty, run: nats stream rm " +
		want.Name + "; invited creates it again"
	switch {
	case want.SubjectTransform == nil && found.SubjectTransform != nil:
		return []error{&TopologyError{want.Name, "subject transform", describe(found.SubjectTransform), "none", wayOut}}
	case want.SubjectTransform != nil && partitionsOf(found.SubjectTransform) == 0:
		return []error{&TopologyError{want.Name, "subject transform", describe(found.SubjectTransform),
			describe(want.SubjectTransform) + " (any number of partitions)", wayOut}}
	default:
		return nil
	}
}

func describe(t *jetstream.SubjectTransformConfig) string {
	if t == nil {
		return "none"
	}
	return t.Source + " to " + t.Destination
}

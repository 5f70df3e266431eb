package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// termsFade is how long terms that nobody wants any more stay, empty, so that
// every worker comes to know: one that still took a campaign for cancelled would
// drop the jobs of the next one of its name.
const termsFade = time.Hour

// campaignRecords is what INVITE_CONTROL has of one campaign.
type campaignRecords struct {
	written   time.Time // the last of them
	sequences []uint64  // of its order and its tally
	terms     uint64    // 0: none
}

// forgetCampaigns removes the records of campaigns of which nothing waits, and
// nothing was written, for Options.KeepCampaigns. Each is removed by its
// sequence: one that is written meanwhile stays.
func (q *Queue) forgetCampaigns(ctx context.Context) error {
	control := q.streams[ControlStream]
	info, err := infoOf(ctx, control) // its time is what the records' times are compared with
	if err != nil {
		return err
	}
	all, err := q.campaignRecords(ctx)
	if err != nil {
		return err
	}
	for campaign, r := range all {
		age := info.TimeStamp.Sub(r.written)
		fading := len(r.sequences) == 0
		if age < q.opts.KeepCampaigns && !(fading && age >= termsFade) {
			continue
		}
		if err := q.forgetCampaign(ctx, campaign, r, age); err != nil {
			return fmt.Errorf("records of a campaign: %w", err)
		}
	}
	return nil
}

// campaignRecords finds the records of all campaigns, by the end of their subjects.
func (q *Queue) campaignRecords(ctx context.Context) (map[string]*campaignRecords, error) {
	all := make(map[string]*campaignRecords)
	for _, prefix := range []string{orderPrefix, tallyPrefix, termsPrefix} {
		cfg := jetstream.ConsumerConfig{FilterSubject: prefix + "*.*.*", HeadersOnly: true}
		err := readAll(ctx, q.streams[ControlStream], cfg, func(m jetstream.Msg) error {
			meta, err := m.Metadata()
			if err != nil {
				return err
			}
			campaign := strings.TrimPrefix(m.Subject(), prefix)
			r := all[campaign]
			if r == nil {
				r = new(campaignRecords)
				all[campaign] = r
			}
			if meta.Timestamp.After(r.written) {
				r.written = meta.Timestamp
			}
			if prefix == termsPrefix {
				r.terms = meta.Sequence.Stream
			} else {
				r.sequences = append(r.sequences, meta.Sequence.Stream)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (q *Queue) forgetCampaign(ctx context.Context, campaign string, r *campaignRecords, age time.Duration) error {
	jobs := campaignsPrefix + campaign
	info, err := infoOf(ctx, q.streams[CampaignsStream], jetstream.WithSubjectFilter(jobs))
	if err != nil || info.State.Subjects[jobs] > 0 {
		return err
	}
	if r.terms != 0 {
		terms, revision, _, err := getRecord(ctx, q.streams[ControlStream], termsPrefix+campaign, decodeTerms)
		switch {
		case err != nil && !errors.Is(err, errRecord), revision != r.terms:
			return err // somebody has changed them meanwhile
		case err == nil && terms == CampaignTerms{}:
			r.sequences = append(r.sequences, r.terms)
		case age < q.opts.KeepCampaigns:
			return nil
		default:
			if _, err := putRecord(ctx, q.js, termsPrefix+campaign, revision, CampaignTerms{}); err != nil {
				return unlessWritten(err)
			}
		}
	}
	for _, sequence := range r.sequences {
		if err := q.removeRecord(ctx, sequence); err != nil {
			return err
		}
	}
	return nil
}

// unlessWritten is nil where somebody has written over the record meanwhile.
func unlessWritten(err error) error {
	if isWrongSequence(err) {
		return nil
	}
	return err
}

func (q *Queue) removeRecord(ctx context.Context, sequence uint64) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	control := q.streams[ControlStream]
	err := control.DeleteMsg(ctx, sequence)
	if err == nil {
		return nil
	}
	// The server's answer to the deletion of what is not there is no error of its own.
	if _, lookErr := control.GetMsg(ctx, sequence); errors.Is(lookErr, jetstream.ErrMsgNotFound) {
		return nil
	}
	return err
}

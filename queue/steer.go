package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cenkalti/backoff/v4"
)

// Why a campaign's terms can't be changed.
var (
	// ErrCancelled means that a campaign was cancelled: that is for good.
	ErrCancelled = errors.New("the campaign was cancelled, for good; start one of another name for those that are left")
	// ErrOtherTerms means that a campaign has another start time or rate than Start was called with again.
	ErrOtherTerms = errors.New("the campaign has another start time or rate by now; leave them out to go on, " +
		"and change them on their own")
	// ErrStartPassed means that a campaign can't be started at a time that has passed.
	ErrStartPassed = errors.New("the start time has passed")
)

// Pause stops a campaign: within a second no worker makes a new call for it,
// whatever is restarted, until Resume; one that is cut off from NATS may go on for
// the 2.5 s that its lease lasts. Calls in flight are finished, and counted.
// A job whose expiresAt passes meanwhile is dead-lettered when it goes on.
// Errors of all that changes terms: ErrNoCampaign, ErrCancelled, and those of publishing.
func (o *Organizer) Pause(ctx context.Context, a Address) (CampaignTerms, error) {
	return o.change(ctx, a, func(t *CampaignTerms) { t.Paused = true })
}

// Resume undoes Pause. A start time that has not come yet stays.
func (o *Organizer) Resume(ctx context.Context, a Address) (CampaignTerms, error) {
	return o.change(ctx, a, func(t *CampaignTerms) { t.Paused = false })
}

// SetStart moves a campaign's start: from now on no call is made before it. A
// time that has passed means at once.
func (o *Organizer) SetStart(ctx context.Context, a Address, at time.Time) (CampaignTerms, error) {
	return o.change(ctx, a, func(t *CampaignTerms) { t.StartAt = at.UTC().Round(0) })
}

// SetRate limits a campaign to so many recipients per second, beside its quota;
// 0 lifts the limit. It holds over any time, but for two calls of 16; a worker
// that takes over begins anew. The error may be ErrRate.
func (o *Organizer) SetRate(ctx context.Context, a Address, perSecond float64) (CampaignTerms, error) {
	if err := (CampaignTerms{Rate: perSecond}).Validate(); err != nil {
		return CampaignTerms{}, err
	}
	return o.change(ctx, a, func(t *CampaignTerms) { t.Rate = perSecond })
}

// Cancel drops what is unsent of a campaign, for good: within a second no
// worker makes a new call for it, and then they end its jobs, each with a result
// that says how many were dropped. Its status says when that is done
// (CampaignCancelled). Calls in flight are finished, and counted. Doing it again does no harm.
func (o *Organizer) Cancel(ctx context.Context, a Address) (CampaignTerms, error) {
	terms, err := o.change(ctx, a, func(t *CampaignTerms) { t.Cancelled = true })
	if errors.Is(err, ErrCancelled) {
		err = nil
	}
	return terms, err
}

// steerPatience is how long a change is tried against others who change the same.
const steerPatience = 10 * time.Second

// change writes a campaign's terms over those that were read.
func (o *Organizer) change(ctx context.Context, a Address, change func(*CampaignTerms)) (CampaignTerms, error) {
	if err := a.Validate(); err != nil {
		return CampaignTerms{}, err
	}
	if err := o.exists(ctx, a); err != nil {
		return CampaignTerms{}, fmt.Errorf("campaign %s: %w", a.Campaign, err)
	}
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(20*time.Millisecond), backoff.WithMaxElapsedTime(steerPatience))
	var terms CampaignTerms
	err := backoff.Retry(func() error {
		old, revision, _, err := o.terms(ctx, a)
		if err != nil && !errors.Is(err, errRecord) { // one that can't be read is written over
			return backoff.Permanent(err)
		}
		if err != nil {
			old.Paused = true // as workers take it: only Resume says that it is to be sent
		}
		terms = old
		if old.Cancelled {
			return backoff.Permanent(ErrCancelled)
		}
		if change(&terms); terms == old && revision != 0 && err == nil {
			return nil
		}
		if err = o.putTerms(ctx, a, revision, terms); errors.Is(err, errOvertaken) {
			return err
		}
		return backoff.Permanent(err)
	}, backoff.WithContext(b, ctx))
	if err != nil {
		return terms, fmt.Errorf("campaign %s: %w", a.Campaign, err)
	}
	return terms, nil
}

// exists says ErrNoCampaign where there is nothing of a campaign.
func (o *Organizer) exists(ctx context.Context, a Address) error {
	campaigns, err := o.Campaigns(ctx, CampaignFilter(a))
	if err == nil && len(campaigns) == 0 {
		err = ErrNoCampaign
	}
	return err
}

// terms reads a campaign's terms; revision 0: nobody has changed them.
func (o *Organizer) terms(ctx context.Context, a Address) (t CampaignTerms, revision uint64, changed time.Time, err error) {
	return getRecord(ctx, o.streams[ControlStream], termsPrefix+campaignToken(a), decodeTerms)
}

// putTerms writes them over those of a revision; the error may be errOvertaken.
func (o *Organizer) putTerms(ctx context.Context, a Address, over uint64, t CampaignTerms) error {
	subject := termsPrefix + campaignToken(a)
	_, err := putRecord(ctx, o.js, subject, over, t)
	switch {
	case isWrongSequence(err):
		return errOvertaken
	case err != nil:
		return publishError(subject, err)
	}
	return nil
}

// agree settles the terms of a start: those it asks for where the campaign is
// new; one that goes on has its own.
func (o *Organizer) agree(ctx context.Context, c CampaignOrder, isNew bool) error {
	now, revision, _, err := o.terms(ctx, c.Address)
	wanted := now.with(c)
	switch {
	case err != nil:
		return err
	case now.Cancelled:
		return ErrCancelled
	case !isNew && wanted != now:
		return ErrOtherTerms
	case !isNew || revision != 0 && wanted == now:
		return nil
	case !wanted.StartAt.IsZero() && wanted.StartAt.Before(time.Now()):
		return ErrStartPassed
	}
	return o.putTerms(ctx, c.Address, revision, wanted)
}

package queue

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"reflect"
	"time"

	"github.com/cenkalti/backoff/v4"
)

const (
	watchAtLeast = 100 * time.Millisecond
	// watchPatience is how long a watch goes without an answer.
	watchPatience = time.Minute
)

// Watch yields a campaign's status now, and again whenever it has changed,
// looking every so often: at least 100 ms apart, also where every is less. Rate
// changes all the time; by itself it is a change when it is a tenth off what was
// yielded, or 0. A look costs some requests, however large the campaign is:
// what was summed up once is not read again.
//
// It ends when ctx does, without an error, or when the caller has had enough.
// It goes on after the campaign has ended, which may go on too: by a replay, or
// by somebody who publishes another job. A look that fails for a passing
// reason, as while the connection is lost, is repeated; an error ends it: that
// of the last look when none has succeeded for a minute, ErrNoCampaign when
// there is no such campaign, or none any more, an *AddressError.
//
// The sequence can be ranged over several times, also at once; each is a watch of its own.
func (o *Organizer) Watch(ctx context.Context, a Address, every time.Duration) iter.Seq2[CampaignStatus, error] {
	every = max(every, watchAtLeast)
	return func(yield func(CampaignStatus, error) bool) {
		var shown *CampaignStatus
		var summed *sums
		for ; ctx.Err() == nil; wait(ctx, every) {
			s, after, err := o.lookPatiently(ctx, a, summed)
			summed = after
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				yield(CampaignStatus{}, fmt.Errorf("campaign %s: %w", a.Campaign, err))
				return
			}
			if shown != nil && !changed(*shown, s) {
				continue
			}
			if !yield(s, nil) {
				return
			}
			shown = &s
		}
	}
}

// lookPatiently repeats a look that fails for a passing reason.
func (o *Organizer) lookPatiently(ctx context.Context, a Address, before *sums) (s CampaignStatus, after *sums, err error) {
	b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(watchAtLeast),
		backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(watchPatience))
	err = backoff.Retry(func() error {
		s, after, err = o.look(ctx, a, before)
		_, wrong := errors.AsType[*AddressError](err)
		if err != nil && (wrong || errors.Is(err, ErrNoCampaign) || !passing(err)) {
			return backoff.Permanent(err)
		}
		return err
	}, backoff.WithContext(b, ctx))
	return s, after, err
}

// changed says whether a status tells somebody more who has seen another.
func changed(shown, s CampaignStatus) bool {
	if shown.Rate != s.Rate && (s.Rate == 0 || math.Abs(s.Rate-shown.Rate) > shown.Rate/10) {
		return true
	}
	shown.Rate, shown.History = s.Rate, s.History
	return !reflect.DeepEqual(shown, s)
}

// goOn takes an earlier sum in place of the tally's, where it has more in it.
// It has not where a worker has summed up more, and must not where it is
// another campaign's of the same name, or the tally was removed.
func (s *sums) goOn(before *sums) {
	if before == nil || before.order.ID != s.order.ID || before.revision != 0 && s.revision == 0 ||
		before.Through > s.last || before.Through <= s.Through {
		return
	}
	t := before.tally
	t.order, t.History = s.order, s.History
	s.tally = t
}

// compact forgets which results are in the sum, but for the last one's sequence:
// all that were stored up to it are. One that takes another's place comes after
// it from now on. And the other one is in the sum: it was there as long as
// nothing had been stored in its place, so when the results were read to their end, it was among them.
func (t *tally) compact() { t.counted, t.seen = t.Through, nil }

package queue

import (
	"context"
	"errors"
	"time"
)

// LoadProgress returns the job's stored progress, and whether there is any.
func (q *Queue) LoadProgress(ctx context.Context, d *Delivery) (Progress, bool, error) {
	data, _, err := q.progress.get(ctx, d.key().progressSubject())
	if err != nil || data == nil {
		return Progress{}, false, err
	}
	p, err := decodeProgress(d, data)
	if errors.Is(err, errOtherJob) {
		return Progress{}, false, nil
	}
	return p, err == nil, err
}

// SetBatch makes batches so small that an upload of a few jobs has several.
func (o *Organizer) SetBatch(jobs int) { o.batch = jobs }

// ForgetCampaigns does what a worker does now and then, with records that are kept so long: two days are too many for a test.
func (q *Queue) ForgetCampaigns(ctx context.Context, kept time.Duration) error {
	q.opts.KeepCampaigns = kept
	return q.forgetCampaigns(ctx)
}

// TermsBook is what a worker knows of campaigns' terms.
func (q *Queue) TermsBook() *TermsBook { return &TermsBook{newTermsBook(q)} }

// TermsBook is a worker's.
type TermsBook struct{ book *termsBook }

// Update brings it up to date.
func (b *TermsBook) Update(ctx context.Context) error { return b.book.update(ctx) }

// Cancelled says whether a campaign is cancelled as far as it knows.
func (b *TermsBook) Cancelled(a Address) bool { return b.book.at(a.Subject(), time.Now()).cancelled }

package queue

import (
	"context"
	"errors"
)

// LoadProgress returns the job's stored progress, and whether there is any.
func (q *Queue) LoadProgress(ctx context.Context, d *Delivery) (Progress, bool, error) {
	data, _, err := q.progress.get(ctx, d.progressSubject())
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

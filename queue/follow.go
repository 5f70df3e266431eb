package queue

import (
	"context"
	"fmt"
	"sync"
)

// Follower looks at one campaign again and again. What it has summed up once it
// does not read again, so that a look costs some requests however large the
// campaign is. It is safe for concurrent use; looks are made one at a time.
type Follower struct {
	o *Organizer
	a Address

	mu     sync.Mutex
	before *sums
}

// Follow returns a follower of a campaign. It asks nothing yet. See Watch for who only waits for changes.
func (o *Organizer) Follow(a Address) *Follower { return &Follower{o: o, a: a} }

// Status says how the campaign gets on, as Organizer.Status does. The error may be ErrNoCampaign.
func (f *Follower) Status(ctx context.Context) (CampaignStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, after, err := f.o.look(ctx, f.a, f.before)
	f.before = after
	if err != nil {
		return s, fmt.Errorf("campaign %s: %w", f.a.Campaign, err)
	}
	return s, nil
}

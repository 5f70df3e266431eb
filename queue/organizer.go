package queue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Organizer starts campaigns, and says how they get on. It needs an operator's
// permissions. It is safe for concurrent use, and by several programs at once.
type Organizer struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	streams map[string]jetstream.Stream
	batch   int // jobs
}

// NewOrganizer returns an organizer on nc, which stays the caller's. The streams must be there.
func NewOrganizer(ctx context.Context, nc *nats.Conn) (*Organizer, error) {
	js, err := newJetStream(nc)
	if err != nil {
		return nil, err
	}
	o := &Organizer{nc: nc, js: js, streams: make(map[string]jetstream.Stream), batch: maxBatch}
	for _, name := range []string{CampaignsStream, ResultsStream, ProgressStream, ControlStream} {
		o.streams[name], err = js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return nil, fmt.Errorf("stream %s: %w", name, ErrNoQueue)
		}
		if err != nil {
			return nil, fmt.Errorf("stream %s: %w", name, explain(err))
		}
	}
	return o, nil
}

// Why a campaign can't be started, or gone on with.
var (
	// ErrOtherRecipients means that a campaign of this name is for others, or for the same in another order.
	ErrOtherRecipients = errors.New("there is a campaign of this name with other recipients; choose another name")
	// ErrOtherContent means that a campaign of this name has another connectionString, platform or expiry.
	ErrOtherContent = errors.New("there is a campaign of this name with another connectionString, platform or expiry; " +
		"give the same again, or choose another name")
	// ErrUploadInDoubt means that an upload was interrupted so long ago that it can't be known how far it got.
	ErrUploadInDoubt = errors.New("its upload was interrupted more than a day ago, no worker has summed up its results since, " +
		"and whether its last jobs were stored can't be known any more; " +
		"find out from the sender's own records who was invited, and start a campaign of another name for the others")
)

// Upload is how far a campaign's jobs are stored.
type Upload struct {
	Recipients int // of the campaign
	Jobs       int // and the calls they need: 16 recipients each, the last one the rest
	Stored     int // recipients whose jobs are stored
	Before     int // of those, how many were when this upload began
}

// Start stores the jobs of a campaign, or those that are missing of one whose
// start was interrupted, in the order of the recipients. It returns when all are
// stored; it can be interrupted at any moment, by a kill too, and called again,
// by somebody else too, and at the same time: no recipient is stored twice, and
// none left out. What is stored is always the first part of the recipients.
//
// A connection that is lost is waited for; without any progress for a minute it
// gives up. progress is called as jobs are stored, from this goroutine; nil: nobody is told.
//
// Errors are an *AddressError or a *JobError, where nothing was stored;
// ErrOtherRecipients, ErrOtherContent, ErrOtherTerms, ErrStartPassed, ErrCancelled
// and ErrUploadInDoubt; and those of publishing, such as ErrFull.
func (o *Organizer) Start(ctx context.Context, c CampaignOrder, r *Recipients, progress func(Upload)) (Upload, error) {
	if err := c.validate(r); err != nil {
		return Upload{}, err
	}
	u := newUploader(o, c, r, progress)
	if err := u.run(ctx); err != nil {
		return u.sum, fmt.Errorf("campaign %s: %w", c.Address.Campaign, err)
	}
	return u.sum, nil
}

// uploadPatience is how long an upload tries without any progress.
const uploadPatience = time.Minute

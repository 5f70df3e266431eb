package queue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// CampaignState is where a campaign is. The set is closed.
type CampaignState string

// The states.
const (
	CampaignUploading CampaignState = "uploading" // not all of its jobs are stored: an upload is under way, or was interrupted
	CampaignScheduled CampaignState = "scheduled" // its start is still to come
	CampaignWaiting   CampaignState = "waiting"   // nothing of it has ended
	CampaignSending   CampaignState = "sending"   // some have
	CampaignPaused    CampaignState = "paused"    // until it is resumed
	// CampaignCancelling: what is unsent is being dropped, as soon as a worker runs; or a batch of its upload, which was
	// interrupted less than a minute or so ago, may be stored yet.
	CampaignCancelling CampaignState = "cancelling"
	CampaignCancelled  CampaignState = "cancelled" // it has been
	CampaignEnded      CampaignState = "ended"     // nothing waits. One without an order may go on
)

// CampaignStatus is how a campaign gets on: what is stored of how its jobs, and
// parts of them, ended, and not what was read or begun. It is exact: see
// Complete. What was in one status is in each later one, with one exception: where a worker that was cut off said how a job
// ended, and the next one, which did not know, made its calls again, that one's word counts.
type CampaignStatus struct {
	Address Address
	State   CampaignState

	// Of campaigns that Organizer.Start began. Without an order, jobs were
	// published one by one, and nobody said for how many recipients.
	Ordered    bool
	Recipients int // of the order; 0 without one
	Uploaded   int // recipients whose jobs are known to be stored
	Left       int // recipients of the order that were neither sent nor are dead; 0 without one
	CreatedAt  time.Time
	ExpiresAt  time.Time // zero: never

	Terms        CampaignTerms // what people want of it now
	TermsChanged time.Time     // zero: never

	Waiting int            // jobs in the queue, those that a worker has in hand included
	Partly  int            // of those, jobs of which some recipients have ended: they are among Sent and Dead
	Jobs    int            // jobs that ended
	Sent    int            // recipients, whatever job they were in
	Dead    map[Reason]int // recipients by reason, also those that were replayed since
	// Cancelled is how many recipients were dropped by Cancel; in the end those of the order whose jobs were never stored are among them.
	Cancelled int
	Replayed  int // recipients of replayed jobs that ended: they are among Dead, and among Sent or Dead once more
	NoJobs    int // messages that were no job; their recipients can't be counted
	// MaybeDuplicate is how many jobs say that some of their recipients may have been sent twice.
	MaybeDuplicate int
	FirstEndedAt   time.Time // zero: none has
	LastEndedAt    time.Time

	// Rate is how many recipients a second ended lately: on the average of at most the last 5 minutes, as far back as History
	// has marks of them. A pause within those is a part of the average; of one that
	// was longer, what was before it is not, so that soon after it the rate is that since then.
	// 0: none ended, or that is not known yet, as in the first seconds.
	Rate float64
	// History is how many recipients had ended from the campaign's beginning to now, oldest first, in at most 65 marks:
	// every 10 s in its last minutes, and the rarer the longer ago. Where it paused, two marks say the same or nearly so.
	History []CampaignMark

	// Complete is false where no worker ran for so long that results were removed
	// before they were summed up: then some of what was sent, or is dead, may be missing.
	Complete bool
}

// DeadRecipients is the sum of Dead.
func (s CampaignStatus) DeadRecipients() (n int) {
	for _, count := range s.Dead {
		n += count
	}
	return n
}

// ErrNoCampaign means that there is no such campaign: none was started, no job of it waits, and none has ended lately.
var ErrNoCampaign = errors.New("there is no such campaign")

// Status says how a campaign gets on. The error may be ErrNoCampaign.
func (o *Organizer) Status(ctx context.Context, a Address) (CampaignStatus, error) {
	s, _, err := o.look(ctx, a, nil)
	if err != nil {
		return s, fmt.Errorf("campaign %s: %w", a.Campaign, err)
	}
	return s, nil
}

// look goes on from what an earlier one summed up; nil: there was none.
func (o *Organizer) look(ctx context.Context, a Address, before *sums) (CampaignStatus, *sums, error) {
	if err := a.Validate(); err != nil {
		return CampaignStatus{}, before, err
	}
	// Before the results: a job leaves the queue after its result is stored, so none is missing in both.
	info, err := infoOf(ctx, o.streams[CampaignsStream], jetstream.WithSubjectFilter(a.Subject()))
	if err != nil {
		return CampaignStatus{}, before, err
	}
	waiting := int(info.State.Subjects[a.Subject()])
	terms, revision, changed, err := o.terms(ctx, a) // before the order: see inDoubt
	if err != nil {
		return CampaignStatus{}, before, err
	}
	summed, open, err := sumUpWhole(ctx, o.js, o.streams, a, before)
	if err != nil {
		return CampaignStatus{}, before, err
	}
	if summed.order.ID == "" && waiting == 0 && summed.Jobs == 0 && len(open) == 0 && terms == (CampaignTerms{}) {
		return CampaignStatus{}, before, ErrNoCampaign
	}
	c := summed.withPartly(open, summed.status(waiting))
	c.Terms, c.TermsChanged = terms, changed
	c.settle(info.TimeStamp, c.Waiting > 0 || summed.inDoubt(c.Left, revision, info.TimeStamp))
	return c, &summed, nil
}

// inDoubt says whether the batch of an upload may still come to be stored, or to
// end, though the campaign is cancelled by terms of a revision. Of one that is
// written down, and has not ended, nobody knows until it can't be sent any more.
// But a batch that was written down after the terms is not sent.
func (s sums) inDoubt(left int, terms uint64, now time.Time) bool {
	rest := s.order.Recipients - callSize*(s.order.Stored+s.order.Sending) // is not stored
	return s.order.Sending > 0 && s.ordered.revision < terms && left > max(rest, 0) && now.Sub(s.ordered.at) < sendWithin+apiTimeout
}

// settle says what state it is in. going: some of its jobs have not ended, or may not.
func (s *CampaignStatus) settle(now time.Time, going bool) {
	switch {
	case s.Terms.Cancelled && !going:
		s.State = CampaignCancelled
		s.Cancelled, s.Left = s.Cancelled+s.Left, 0
	case s.Terms.Cancelled:
		s.State = CampaignCancelling
	case s.State == CampaignUploading:
	case s.Waiting == 0:
		s.State = CampaignEnded
	case s.Terms.Paused:
		s.State = CampaignPaused
	case now.Before(s.Terms.StartAt):
		s.State = CampaignScheduled
	case s.Jobs == 0 && s.Partly == 0:
		s.State = CampaignWaiting
	default:
		s.State = CampaignSending
	}
}

func (s sums) status(waiting int) CampaignStatus {
	c := CampaignStatus{
		Address: s.address, Ordered: s.order.ID != "", Waiting: waiting, Cancelled: s.Cancelled,
		Jobs: s.Jobs, Sent: s.Sent, Dead: s.Dead, Replayed: s.Replayed, NoJobs: s.NoJobs, MaybeDuplicate: s.MaybeDuplicate,
		FirstEndedAt: s.FirstEndedAt, LastEndedAt: s.LastEndedAt,
		Complete: s.gapUntil.IsZero() || s.gapUntil.Before(s.FirstEndedAt),
	}
	if c.Ordered {
		c.Recipients, c.CreatedAt, c.ExpiresAt = s.order.Recipients, s.order.CreatedAt, s.order.ExpiresAt
		c.Left = s.order.Recipients - s.OfOrder
		c.Uploaded = min(callSize*max(s.order.Stored, s.Highest), c.Recipients)
		c.Complete = c.Left == 0 || s.gapUntil.Before(c.CreatedAt)
		if s.order.UploadedAt.IsZero() {
			c.State = CampaignUploading
		}
	}
	return c
}

// CampaignFilter selects campaigns. Its zero value selects all.
type CampaignFilter struct {
	TitleID  uint32
	Sender   string
	Campaign string
}

// tokens are the end of the subjects that it selects.
func (f CampaignFilter) tokens() string {
	title := "*"
	if f.TitleID != 0 {
		title = strconv.FormatUint(uint64(f.TitleID), 10)
	}
	name := func(s string) string {
		if checkName("", s) != nil {
			return "*" // none has it
		}
		return s
	}
	return title + "." + name(f.Sender) + "." + name(f.Campaign)
}

func (f CampaignFilter) matches(a Address) bool {
	return (f.TitleID == 0 || f.TitleID == a.TitleID) && (f.Sender == "" || f.Sender == a.Sender) &&
		(f.Campaign == "" || f.Campaign == a.Campaign)
}

// Campaigns returns the campaigns that are known, by name: those that were
// started, and those of which a job waits or has ended.
func (o *Organizer) Campaigns(ctx context.Context, f CampaignFilter) ([]Address, error) {
	known := make(map[Address]bool)
	for _, of := range []struct{ stream, prefix string }{
		{CampaignsStream, campaignsPrefix}, {ResultsStream, resultsPrefix}, {ControlStream, orderPrefix}, {ControlStream, tallyPrefix},
		{ControlStream, termsPrefix},
	} {
		info, err := infoOf(ctx, o.streams[of.stream], jetstream.WithSubjectFilter(of.prefix+f.tokens()))
		if err != nil {
			return nil, fmt.Errorf("looking for campaigns: %w", err)
		}
		for subject := range info.State.Subjects {
			a, err := parseTokens(subject, strings.TrimPrefix(subject, of.prefix), 3)
			if err == nil && a.Campaign != "-" && f.matches(a) {
				known[a] = true
			}
		}
	}
	all := make([]Address, 0, len(known))
	for a := range known {
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Address) int { return strings.Compare(nameOrder(a), nameOrder(b)) })
	return all, nil
}

// nameOrder sorts campaigns by name first.
func nameOrder(a Address) string { return fmt.Sprintf("%s %010d %s", a.Campaign, a.TitleID, a.Sender) }

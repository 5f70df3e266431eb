package queue

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// uploader is one Start.
type uploader struct {
	*Organizer
	order      CampaignOrder
	recipients *Recipients
	progress   func(Upload)
	sum        Upload
	began      bool // sum.Before is set

	digest, content string

	record   orderRecord
	revision uint64  // of the record
	after    *uint64 // a sequence of INVITE_CAMPAIGNS before the next job's; nil: the last one
}

func newUploader(o *Organizer, c CampaignOrder, r *Recipients, progress func(Upload)) *uploader {
	if progress == nil {
		progress = func(Upload) {}
	}
	return &uploader{
		Organizer: o, order: c, recipients: r, progress: progress,
		sum:    Upload{Recipients: r.Len(), Jobs: jobsFor(r.Len())},
		digest: r.digest(), content: c.content(),
	}
}

// errOvertaken means that the record is not the one that was read: another
// upload goes on, or an earlier write of this one was stored after all.
var errOvertaken = errors.New("another upload of it is under way")

// run tries until all is stored, or nothing gets on any more.
func (u *uploader) run(ctx context.Context) error {
	for {
		before := u.sum.Stored
		b := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
			backoff.WithMaxInterval(2*time.Second), backoff.WithMaxElapsedTime(uploadPatience))
		err := backoff.Retry(func() error {
			err := u.try(ctx)
			switch {
			case err == nil:
				return nil
			case u.sum.Stored > before, !passing(err):
				return backoff.Permanent(err) // a new patience begins, or there is no use
			}
			return err
		}, backoff.WithContext(b, ctx))
		if err == nil || ctx.Err() != nil || u.sum.Stored == before || !passing(err) {
			return err
		}
	}
}

// passing says whether an error may be over by itself.
func passing(err error) bool {
	if errors.Is(err, errOvertaken) {
		return true
	}
	if api, ok := errors.AsType[*jetstream.APIError](err); ok {
		return api.ErrorCode == codeBatchIncomplete || api.ErrorCode == codeBatchesTooMany || api.Code >= 500 && !errors.Is(err, ErrFull)
	}
	for _, lasting := range []error{
		ErrOtherRecipients, ErrOtherContent, ErrUploadInDoubt, ErrTooLarge, errRecord, context.Canceled,
		ErrCancelled, ErrOtherTerms, ErrStartPassed,
	} {
		if errors.Is(err, lasting) {
			return false
		}
	}
	return true
}

// try goes on from what is known to be stored.
func (u *uploader) try(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if err := u.open(ctx); err != nil {
		return err
	}
	u.told()
	for u.record.Stored < u.sum.Jobs {
		if err := u.send(ctx); err != nil {
			return err
		}
		u.told()
	}
	if !u.record.UploadedAt.IsZero() {
		return nil
	}
	u.record.After, u.record.UploadedAt = 0, time.Now().UTC()
	return u.write(ctx)
}

func (u *uploader) told() {
	u.sum.Stored = min(u.record.Stored*callSize, u.sum.Recipients)
	if !u.began {
		u.began, u.sum.Before = true, u.sum.Stored
	}
	u.progress(u.sum)
}

func (u *uploader) subject() string { return orderPrefix + campaignToken(u.order.Address) }

// open reads the campaign's record, or creates it.
func (u *uploader) open(ctx context.Context) error {
	r, revision, at, err := getRecord(ctx, u.streams[ControlStream], u.subject(), decodeOrder)
	switch {
	case err != nil:
		return err
	case revision == 0:
		if err := u.agree(ctx, u.order, true); err != nil {
			return err
		}
		u.revision, u.record = 0, orderRecord{
			ID: strings.ToLower(rand.Text()[:8]), Recipients: u.sum.Recipients, Digest: u.digest, Content: u.content,
			CreatedAt: time.Now().UTC(), ExpiresAt: u.order.ExpiresAt.UTC(),
		}
		return u.write(ctx)
	case r.Digest != u.digest || r.Recipients != u.sum.Recipients:
		return ErrOtherRecipients
	case r.Content != u.content:
		return ErrOtherContent
	}
	if err := u.agree(ctx, u.order, false); err != nil {
		return err
	}
	u.record, u.revision, u.after = r, revision, nil
	if r.Sending == 0 {
		return nil
	}
	stored, err := u.wasStored(ctx, at)
	if err != nil {
		return err
	}
	if stored {
		u.record.Stored += r.Sending
		u.record.Sending = 0
	} else {
		u.after = &r.After // another upload may be storing it just now: it is to be found from there on
	}
	return nil
}

// write writes the record over the one that was read or written last.
func (u *uploader) write(ctx context.Context) error {
	revision, err := putRecord(ctx, u.js, u.subject(), u.revision, u.record)
	if isWrongSequence(err) {
		return errOvertaken
	}
	if err != nil {
		return publishError(u.subject(), err)
	}
	u.revision = revision
	return nil
}

// sendWithin is how long after it was written down a batch may be sent. Another
// upload that finds it written down and not stored sends it too; the server
// drops the second for ten minutes, and what a connection holds back does not
// outlive that: the server gives up a connection, and a batch, that is silent.
const sendWithin = time.Minute

// send stores the next jobs: all of them or none.
func (u *uploader) send(ctx context.Context) error {
	if u.after == nil {
		info, err := infoOf(ctx, u.streams[CampaignsStream])
		if err != nil {
			return err
		}
		u.after = &info.State.LastSeq
	}
	n := or(u.record.Sending, min(u.Organizer.batch, u.sum.Jobs-u.record.Stored)) // one under way is sent again as it was
	u.record.Sending, u.record.After = n, *u.after
	if err := u.write(ctx); err != nil {
		return err
	}
	written := time.Now().Round(0) // by the wall: a machine that slept does not count it otherwise
	// After that write: so a batch that was written down after its campaign was
	// cancelled is not sent, and whoever reads both records knows (sums.inDoubt).
	if t, _, _, err := u.terms(ctx, u.order.Address); t.Cancelled || err != nil && !errors.Is(err, errRecord) {
		return cmp.Or(err, ErrCancelled)
	}
	batch := u.jobs(n)
	if time.Now().Round(0).Sub(written).Abs() > sendWithin {
		return errOvertaken
	}
	last, err := publishBatch(ctx, u.nc, batch)
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeBatchDuplicate {
		u.stored(nil) // these very jobs are stored: nothing else has their names
		return nil
	}
	if err != nil {
		return publishError(u.order.Address.Subject(), u.explain(err))
	}
	u.stored(&last)
	return nil
}

// stored takes note that the batch under way is stored, and where it ends if that is known.
func (u *uploader) stored(last *uint64) {
	u.record.Stored += u.record.Sending
	u.record.Sending, u.after = 0, last
}

func (u *uploader) explain(err error) error {
	if api, ok := errors.AsType[*jetstream.APIError](err); ok && api.ErrorCode == codeBatchDisabled {
		return fmt.Errorf("%w: run: nats stream edit %s --allow-batch", err, CampaignsStream)
	}
	return err
}

// jobs makes the next n jobs.
func (u *uploader) jobs(n int) []*nats.Msg {
	subject, prefix := u.order.Address.Subject(), u.record.jobPrefix(u.order.Address)
	job := u.order.job()
	users := make([]XUID, 0, callSize)
	batch := make([]*nats.Msg, 0, n)
	number := u.record.Stored
	add := func() {
		number++
		job.InvitedUsers, job.ID = users, prefix+strconv.Itoa(number)
		m := &nats.Msg{Subject: subject, Data: job.encode(), Header: make(nats.Header, 4)}
		setHeader(m.Header, nats.MsgIdHdr, messageID(u.record.ID, number))
		batch = append(batch, m)
		users = users[:0]
	}
	for x := range u.recipients.from(number * callSize) {
		if users = append(users, x); len(users) == callSize {
			add()
		}
		if len(batch) == n {
			return batch
		}
	}
	add() // the rest
	return batch
}

// messageID names the message of an order's job. Names are the stream's, not
// the subject's: two campaigns of the same recipients must not have the same.
func messageID(order string, number int) string { return messagePrefix(order) + strconv.Itoa(number) }

func messagePrefix(order string) string { return "campaign:" + order + ":" }

// wasStored looks for the batch that was under way when the upload was
// interrupted: first in the queue, then among results, where a job is before it leaves the queue.
func (u *uploader) wasStored(ctx context.Context, begun time.Time) (bool, error) {
	info, err := infoOf(ctx, u.streams[CampaignsStream])
	if err != nil {
		return false, err
	}
	after := u.record.After
	if after > info.State.LastSeq {
		after = 0 // the stream was made anew
	}
	for {
		m, err := u.jobFrom(ctx, after+1)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			break
		}
		if err != nil {
			return false, explain(err)
		}
		if u.sending(m.Header) {
			return true, nil
		}
		after = m.Sequence
	}
	summed, err := sumUp(ctx, u.streams, u.order.Address)
	switch {
	case err != nil:
		return false, err
	case summed.Highest > u.record.Stored:
		return true, nil
	case !summed.gapUntil.Before(begun):
		return false, ErrUploadInDoubt
	}
	return false, nil
}

// jobFrom reads the first job of the campaign from a sequence on.
func (u *uploader) jobFrom(ctx context.Context, sequence uint64) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	return getMsg(ctx, u.js, u.streams[CampaignsStream], sequence, u.order.Address.Subject())
}

// sending says whether a message is of the batch under way.
func (u *uploader) sending(h nats.Header) bool {
	number, ok := strings.CutPrefix(h.Get(nats.MsgIdHdr), messagePrefix(u.record.ID))
	n, err := strconv.Atoi(number)
	return ok && err == nil && n > u.record.Stored && n <= u.record.Stored+u.record.Sending
}

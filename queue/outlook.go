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

// Outlook asks what is known now of how fast a campaign may be sent, and which
// others it shares its sender and title with. The campaign need not exist. It is
// some eight requests, and one for each other campaign there whose terms were changed.
func (o *Organizer) Outlook(ctx context.Context, a Address) (Outlook, error) {
	out, err := o.outlook(ctx, a)
	if err != nil {
		return Outlook{}, fmt.Errorf("the quota of title %d and sender %s: %w", a.TitleID, a.Sender, err)
	}
	return out, nil
}

func (o *Organizer) outlook(ctx context.Context, a Address) (out Outlook, err error) {
	if err := a.Validate(); err != nil {
		return out, err
	}
	quota, revision, err := readQuota(ctx, o.streams[ControlStream])
	if err != nil && !errors.Is(err, errRecord) { // what can't be read is not known
		return out, err
	}
	out.Announced = revision > 0 && err == nil
	out.Windows, out.Reserve = quota.For(a.TitleID).Windows, quota.Reserve
	if out.Others, err = o.othersOf(ctx, a); err != nil {
		return out, err
	}
	out.Key, out.At, err = o.keyState(ctx, a)
	return out, err
}

// Forecast says how long a campaign of so many recipients takes if it is started now.
func (o *Organizer) Forecast(ctx context.Context, a Address, recipients int) (Forecast, error) {
	out, err := o.Outlook(ctx, a)
	if err != nil {
		return Forecast{}, err
	}
	return out.Forecast(Work{Recipients: recipients}), nil
}

// TimeLeft says how long what is left of a campaign takes; of one that is paused,
// if it were resumed now. Of one that has ended, or is cancelled, nothing is.
func (o *Organizer) TimeLeft(ctx context.Context, s CampaignStatus) (Forecast, error) {
	if s.State == CampaignEnded || s.Terms.Cancelled {
		return Forecast{}, nil
	}
	out, err := o.Outlook(ctx, s.Address)
	if err != nil {
		return Forecast{}, err
	}
	return out.Forecast(s.Work(out.At)), nil
}

// rateLately is how fresh a campaign's last ending must be for its rate to hold still.
const rateLately = time.Minute

// Work is what is left of the campaign, at a time by this program's clock. Of a
// campaign without an order the recipients are not known: they are guessed from
// those that have ended.
func (s CampaignStatus) Work(now time.Time) Work {
	ended := s.Sent + s.DeadRecipients() - s.Replayed
	w := Work{Recipients: s.Left, Calls: jobsFor(s.Left), PerSecond: s.Terms.Rate, StartAt: s.Terms.StartAt}
	if !s.Ordered {
		w.Calls, w.Raw = s.Waiting, true
		if s.Jobs > 0 && ended > 0 {
			w.Recipients = int(float64(s.Waiting) * float64(ended) / float64(s.Jobs))
			w.Calls = max(jobsFor(w.Recipients), min(s.Waiting, 1)) // jobs share calls, and large ones need several
		}
	}
	if now.Sub(s.LastEndedAt) < rateLately {
		w.Rate = s.Rate
	}
	return w
}

// othersOf are the other campaigns of a sender and title of which jobs wait, by name.
func (o *Organizer) othersOf(ctx context.Context, a Address) (others []OtherCampaign, err error) {
	key := strconv.FormatUint(uint64(a.TitleID), 10) + "." + a.Sender + "."
	waiting, err := infoOf(ctx, o.streams[CampaignsStream], jetstream.WithSubjectFilter(campaignsPrefix+key+"*"))
	if err != nil {
		return nil, err
	}
	orders, err := infoOf(ctx, o.streams[ControlStream], jetstream.WithSubjectFilter(orderPrefix+key+"*"))
	if err != nil {
		return nil, err
	}
	steered, err := infoOf(ctx, o.streams[ControlStream], jetstream.WithSubjectFilter(termsPrefix+key+"*"))
	if err != nil {
		return nil, err
	}
	for subject, jobs := range waiting.State.Subjects {
		name := strings.TrimPrefix(subject, campaignsPrefix+key)
		if name == a.Campaign {
			continue
		}
		var t CampaignTerms
		if _, has := steered.State.Subjects[termsPrefix+key+name]; has {
			if t, _, _, err = o.terms(ctx, Address{a.TitleID, a.Sender, name}); errors.Is(err, errRecord) {
				continue // workers hold it
			}
			if err != nil {
				return nil, err
			}
		}
		if !t.Cancelled && !t.held(waiting.TimeStamp) {
			_, ordered := orders.State.Subjects[orderPrefix+key+name]
			others = append(others, OtherCampaign{Name: name, Jobs: int(jobs), Raw: !ordered, Limited: t.Rate > 0})
		}
	}
	slices.SortFunc(others, func(a, b OtherCampaign) int { return strings.Compare(a.Name, b.Name) })
	return others, nil
}

// keyState reads what was stored of a key last, and says when that was looked
// at, by this program's clock. It is placed by the server's.
func (o *Organizer) keyState(ctx context.Context, a Address) (s KeyState, now time.Time, err error) {
	jobs, err := o.js.Stream(ctx, JobsStream)
	if err != nil {
		return s, now, fmt.Errorf("stream %s: %w", JobsStream, explain(err))
	}
	keys, err := o.js.Stream(ctx, KeysStream)
	if err != nil {
		return s, now, fmt.Errorf("stream %s: %w", KeysStream, explain(err))
	}
	partitions := partitionsOf(jobs.CachedInfo().Config.SubjectTransform)
	if partitions == 0 {
		return s, now, fmt.Errorf("stream %s is in no partitions that invited knows", JobsStream)
	}
	subject := keySubject(PartitionOf(a, partitions), a.TitleID, a.Sender)
	m, err := keys.GetLastMsgForSubject(ctx, subject)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return s, time.Now(), nil
	}
	if err != nil {
		return s, now, explain(err)
	}
	info, err := infoOf(ctx, keys) // after the record, so that it is not of the future
	if err != nil {
		return s, now, err
	}
	now = time.Now()
	s, err = stateOf(subject, m.Data, now.Add(-max(info.TimeStamp.Sub(m.Time), 0)))
	if err != nil {
		return KeyState{}, now, nil //nolint:nilerr // as for a worker: it is left out
	}
	return s, now, nil
}

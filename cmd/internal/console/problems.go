package console

import (
	"fmt"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// problem is something that a person should know, in words.
type problem struct {
	Grave bool   // invites that are due don't go out
	Text  string // before Since
	Since time.Time
	More  string // after it
	Link  string // where to look; empty: nowhere else
}

// lateInteractive is how old the oldest job of a player who waits may be before somebody should know.
const lateInteractive = 30 * time.Second

// problems are what keeps invites from being sent, the gravest first.
func (c *Console) problems(v view) []problem {
	var grave, other []problem
	if v.backlogErr != nil {
		p := problem{Grave: true, Text: "The queues can't be read: " + c.text(v.backlogErr.Error()) + "."}
		if !v.backlogAt.IsZero() {
			p.Since, p.More = v.backlogAt, " is when they were read last."
		}
		grave = append(grave, p)
	}
	if len(v.workers) == 0 {
		grave = append(grave, problem{Grave: true, Text: "No worker has a lease: nothing is sent until one has."})
	} else if alone := unowned(v); len(alone) > 0 && v.now.Sub(v.began) > orphanedAfter {
		grave = append(grave, problem{Grave: true, Text: fmt.Sprintf("%s of %d %s nobody's, so that their jobs wait: %s.",
			plural(len(alone), "partition"), v.backlog.Parts, isAre(len(alone)), cli.Ranges(alone))})
	}
	for _, w := range v.workers {
		if w.Keys == nil {
			continue
		}
		for _, o := range w.Keys.Outages {
			grave = append(grave, problem{
				Grave: true, Text: fmt.Sprintf("Title %d: the service does not answer since", o.TitleID), Since: said(w, o),
				More: "; " + waiting(o.Waiting),
			})
		}
		for _, k := range w.Keys.TokenTop {
			what := "there is no token"
			if k.Refused {
				what = "its token is refused"
			}
			grave = append(grave, problem{
				Grave: true, Since: said(w, k), Text: fmt.Sprintf("Sender %s, title %d: %s since", c.sender(k.Sender), k.TitleID, what),
				More: "; " + waiting(k.Waiting),
			})
		}
		if more := w.Keys.Tokenless - len(w.Keys.TokenTop); more > 0 {
			words := plural(more, "further sender") + " of " + c.text(w.Name) + " wait for a token."
			grave = append(grave, problem{Grave: true, Text: words})
		}
	}
	for _, l := range v.backlog.Lanes {
		age := v.backlog.At.Sub(l.Oldest)
		if l.Lane == queue.Interactive && l.Jobs > 0 && age > lateInteractive && v.backlogErr == nil {
			words := "A player has waited for %s: the oldest of %s that wait was published at"
			other = append(other, problem{Text: fmt.Sprintf(words, span(age), plural(l.Jobs, "interactive job")), Since: l.Oldest})
		}
	}
	for _, w := range v.workers {
		if w.Leaving {
			other = append(other, problem{Text: "Worker " + c.text(w.Name) + " was told to stop, and finishes what it has."})
		}
	}
	return append(grave, other...)
}

// waiting is how many invites of a sender or title wait, as far as a worker has them in hand.
func waiting(n int) string {
	switch n {
	case 0:
		return "nothing of it waits here now."
	case 1:
		return "at least 1 invite waits."
	}
	return "at least " + grouped(n) + " invites wait."
}

func isAre(n int) string {
	if n == 1 {
		return "is"
	}
	return "are"
}

// said is when what a worker says began, by this worker's clock.
func said(w queue.WorkerActivity, k queue.KeyActivity) time.Time {
	return w.Heard.Add(-time.Duration(k.For) * time.Millisecond)
}

// silent says whether a worker says nothing of its work: one of an earlier version.
func silent(w queue.WorkerActivity) bool { return w.Calls == nil && w.Partitions == nil }

// orphanedAfter is how long a partition may be nobody's: one that is handed over is for a few seconds.
const orphanedAfter = 10 * time.Second

// unowned are the partitions that no worker has said it owns for a while; none while one does not say.
func unowned(v view) (alone []int) {
	owned := make(map[int]bool)
	for _, w := range v.workers {
		if silent(w) {
			return nil
		}
		for _, n := range w.Partitions {
			owned[n] = true
		}
	}
	for n := range v.backlog.Parts {
		if !owned[n] && v.now.Sub(v.owned[n]) > orphanedAfter {
			alone = append(alone, n)
		}
	}
	return alone
}

// verdict says whether more workers would help.
func verdict(v view) (answer, why string) {
	waiting, bound, busy, mute := 0, 0, 0, 0
	for _, l := range v.backlog.Lanes {
		waiting += l.Jobs
	}
	for _, w := range v.workers {
		switch {
		case silent(w):
			mute++
		case w.InHand == 0:
		case w.QuotaBound:
			bound++
		default:
			busy++
		}
	}
	switch {
	case len(v.workers) == 0:
		return "Yes", "no worker has a lease"
	case waiting == 0:
		return "No", "nothing waits"
	case v.backlog.Parts > 0 && len(v.workers) >= v.backlog.Parts:
		return "No", fmt.Sprintf("each of the %d partitions has a worker of its own", v.backlog.Parts)
	case busy == 0 && mute > 0:
		return "Perhaps", plural(mute, "worker") + " of an earlier version can't say what its jobs wait for"
	case busy == 0 && bound > 0:
		return "No", "what waits waits for quota, for the end of a block, or for a campaign's rate"
	case busy == 0:
		return "No", "what waits is paused, or its start is still to come"
	case v.idle():
		return "No", "the workers that there are keep up"
	default:
		return "Perhaps", "jobs that wait for no quota are in the hands of " + plural(busy, "worker")
	}
}

// idle says whether jobs that wait are those that are being sent right now.
func (v view) idle() bool {
	inHand, inFlight, waiting := 0, 0, 0
	for _, w := range v.workers {
		inHand, inFlight = inHand+w.InHand, inFlight+w.InFlight
	}
	for _, l := range v.backlog.Lanes {
		waiting += l.Jobs
	}
	return waiting <= inHand && inHand <= 4*max(inFlight, 1)
}

package queue_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/queue"
)

// pages reads all pages of letters, and checks that together they are what a filter selects, the newest first.
func (f *fixture) pages(filter queue.LetterFilter, n, most int) (all []uint64, pages int) {
	f.Helper()
	for before := uint64(0); ; {
		page, err := f.reader.LetterPage(f.Context(), filter, before, n, most)
		require.NoError(f, err)
		assert.LessOrEqual(f, len(page.Letters), n)
		assert.LessOrEqual(f, page.Looked, most)
		for _, l := range page.Letters {
			all = append(all, l.Sequence)
		}
		pages++
		if page.Before == 0 {
			return all, pages
		}
		if before != 0 {
			require.Less(f, page.Before, before, "each page gets on")
		}
		before = page.Before
	}
}

func TestAPageOfLargeLettersHasFewerOfThem(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		body := strings.Repeat("x", 1<<20-1<<10)
		const bound, stored = 17, 19 // a megabyte each
		for range stored {
			f.raw("invites.dead.0.invalid", body, "Invite-Reason", "invalid")
		}
		page, err := f.reader.LetterPage(t.Context(), queue.LetterFilter{}, 0, 1000, 2000)
		require.NoError(t, err)
		assert.Len(t, page.Letters, bound, "what a reader has in memory has a bound")
		next, err := f.reader.LetterPage(t.Context(), queue.LetterFilter{}, page.Before, 1000, 2000)
		require.NoError(t, err)
		assert.Len(t, next.Letters, stored-bound, "and the next page goes on")
		assert.Zero(t, next.Before, "to the end")
	})
}

func TestDeadLettersComeInPagesNewestFirstWhateverIsGoneBetweenThem(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		seven := uint32(7)
		var halfway time.Time
		for i := range 400 {
			title, reason, campaign := 5, "rejected", "cup"
			if i%100 == 3 {
				title, reason = 7, "expired"
			}
			if i%10 == 0 {
				campaign = "other"
			}
			f.raw(fmt.Sprintf("invites.dead.%d.%s", title, reason), "{}", "Invite-Reason", reason, "Invite-Job-Id", fmt.Sprint("job-", i),
				"Invite-Subject", fmt.Sprintf("invites.campaigns.%d.ada.%s", title, campaign))
			time.Sleep(time.Second)
			if i == 199 {
				halfway = time.Now()
			}
		}
		gone := func(first, last uint64) {
			for s := first; s <= last; s++ {
				require.NoError(t, f.replayer().Drop(t.Context(), queue.DeadLetter{Sequence: s}))
			}
		}
		gone(1, 3)
		gone(20, 180)
		gone(390, 400)
		stored := f.letters(queue.Filter{})
		want := func(is func(queue.DeadLetter) bool) (all []uint64) {
			for _, l := range slices.Backward(stored) {
				if is(l) {
					all = append(all, l.Sequence)
				}
			}
			return all
		}
		for name, c := range map[string]struct {
			filter queue.LetterFilter
			is     func(queue.DeadLetter) bool
		}{
			"all":    {queue.LetterFilter{}, func(queue.DeadLetter) bool { return true }},
			"title":  {queue.LetterFilter{Filter: queue.Filter{TitleID: &seven}}, func(l queue.DeadLetter) bool { return l.Address.TitleID == 7 }},
			"reason": {queue.LetterFilter{Filter: queue.Filter{Reason: queue.Expired}}, func(l queue.DeadLetter) bool { return l.Reason == queue.Expired }},
			"campaign": {queue.LetterFilter{Filter: queue.Filter{Campaign: "other"}}, func(l queue.DeadLetter) bool {
				return l.Address.Campaign == "other"
			}},
			"job":   {queue.LetterFilter{JobID: "job-250"}, func(l queue.DeadLetter) bool { return l.JobID == "job-250" }},
			"since": {queue.LetterFilter{Filter: queue.Filter{Since: halfway}}, func(l queue.DeadLetter) bool { return !l.StoredAt.Before(halfway) }},
			"until": {queue.LetterFilter{Until: halfway}, func(l queue.DeadLetter) bool { return l.StoredAt.Before(halfway) }},
			"none":  {queue.LetterFilter{Filter: queue.Filter{Reason: queue.Ambiguous}}, func(queue.DeadLetter) bool { return false }},
		} {
			for _, most := range []int{7, 1000} {
				got, _ := f.pages(c.filter, 5, most)
				assert.Equal(t, want(c.is), got, "%s, at most %d looked at", name, most)
			}
		}
		_, pages := f.pages(queue.LetterFilter{}, 1000, 1000)
		assert.Equal(t, 1, pages, "a page is not cut short without need")
	})
}

func TestABacklogCountsLettersWithoutALookAtThem(t *testing.T) {
	inFakeTime(t, queue.Options{Partitions: 4}, func(t *testing.T, f *fixture) {
		f.publish(alice, job("a", 1))
		for i := range 6 {
			f.raw(fmt.Sprintf("invites.dead.%d.%s", 100+i%2, []string{"rejected", "expired"}[i/3]), "{}")
		}
		b, err := f.reader.Backlog(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []queue.DeadCount{{100, queue.Expired, 1}, {100, queue.Rejected, 2}, {101, queue.Expired, 2}, {101, queue.Rejected, 1}}, b.Dead)
		title := uint32(100)
		assert.Equal(t, 6, b.Letters(queue.Filter{}))
		assert.Equal(t, 3, b.Letters(queue.Filter{TitleID: &title}))
		assert.Equal(t, 1, b.Letters(queue.Filter{TitleID: &title, Reason: queue.Expired}))
		assert.Equal(t, []int{1, 0, 4}, []int{b.Lanes[0].Jobs, b.Lanes[1].Jobs, b.Parts})
	})
}

func TestOneLetterIsReadByItsSequenceUntilItIsGone(t *testing.T) {
	inFakeTime(t, queue.Options{}, func(t *testing.T, f *fixture) {
		w := f.consume()
		letter := f.dead(w, alice, job("mine", 5), queue.Rejected)
		got, err := f.reader.DeadLetter(t.Context(), letter.Sequence)
		require.NoError(t, err)
		letter.StoredAt = letter.StoredAt.UTC()
		assert.Equal(t, letter, got)
		require.NoError(t, f.replayer().Drop(t.Context(), letter))
		_, err = f.reader.DeadLetter(t.Context(), letter.Sequence)
		require.ErrorIs(t, err, queue.ErrNoLetter)
	})
}

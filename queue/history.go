package queue

import (
	"errors"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
)

// CampaignMark is how many recipients had ended at a moment of a campaign's life.
type CampaignMark struct {
	At   time.Time // by the server's clock
	Sent int
	Dead int
}

// markRecord is a CampaignMark as it is stored.
type markRecord struct {
	At   int64 `json:"at"` // Unix time in milliseconds
	Sent int   `json:"sent"`
	Dead int   `json:"dead,omitempty"`
}

func (m markRecord) mark() CampaignMark {
	return CampaignMark{time.UnixMilli(m.At).UTC(), m.Sent, m.Dead}
}

const (
	// maxMarks bounds a tally's history: some 3 KB.
	maxMarks = 64
	// markLead is what counts as no age at all when marks are thinned: they are made this far apart.
	markLead = int64(tallyEvery / time.Millisecond)
)

// withMark adds a mark to a history, unless the last one says the same, and
// reports whether it did. Where there are too many, one goes: that without
// which the gap is the least for its age. So of a campaign of any length the
// last minutes have a mark every 10 s, and its first days one in some hours.
func withMark(history []markRecord, m markRecord) ([]markRecord, bool) {
	if n := len(history); n > 0 {
		last := history[n-1]
		if last.Sent == m.Sent && last.Dead == m.Dead || last.At >= m.At { // or another server's clock is behind
			return history, false
		}
	}
	history = append(history, m)
	for len(history) > maxMarks {
		least, at := 0.0, 0
		for i := 1; i < len(history)-1; i++ {
			gap, age := history[i+1].At-history[i-1].At, m.At-history[i-1].At+markLead
			if share := float64(gap) / float64(age); at == 0 || share < least {
				least, at = share, i
			}
		}
		history = slices.Delete(history, at, at+1)
	}
	return history, true
}

// historyTo is a campaign's history with what is so at a moment as its last mark.
func (t *tallyRecord) historyTo(now time.Time, sent, dead int) []CampaignMark {
	end := markRecord{now.UnixMilli(), sent, dead}
	var marks []CampaignMark
	for _, m := range t.begun(end.At) {
		if m.At < end.At {
			marks = append(marks, m.mark())
		}
	}
	return append(marks, end.mark())
}

// begun is the history from 0 on: when the first job ended, before that nothing had.
func (t *tallyRecord) begun(now int64) []markRecord {
	if first := t.FirstEndedAt.UnixMilli(); len(t.History) == 0 && first > 0 && first < now {
		return []markRecord{{At: first}}
	}
	return t.History
}

const (
	rateOver  = 5 * time.Minute
	rateLeast = 5 * time.Second // less than that tells of one call, and not of a rate
)

// rateOf is how many recipients a second ended in the last minutes of a history.
func rateOf(history []CampaignMark) float64 {
	if len(history) == 0 {
		return 0
	}
	now := history[len(history)-1]
	for _, m := range history {
		if over := now.At.Sub(m.At); over <= rateOver {
			ended := now.Sent + now.Dead - m.Sent - m.Dead
			if over < rateLeast || ended < 0 {
				return 0
			}
			return float64(ended) / over.Seconds()
		}
	}
	return 0
}

const (
	maxCounted = 1 << 50                // no sum of a few of these overflows
	maxMarkAt  = int64(253402300799999) // the last millisecond that can be written as a time
)

// decodeTally takes only what sums can be added to. A history that can't be is
// left out: it shows how the sums came to be, and they are right without it.
func decodeTally(data []byte) (t tallyRecord, err error) {
	if err := json.Unmarshal(data, &t); err != nil {
		return tallyRecord{}, err
	}
	counts := []int{t.Jobs, t.Sent, t.Cancelled, t.Replayed, t.NoJobs, t.MaybeDuplicate, t.OfOrder, t.Highest}
	for reason, n := range t.Dead {
		if !reason.Known() {
			return tallyRecord{}, errors.New("it has a reason that there is not")
		}
		counts = append(counts, n)
	}
	for _, n := range counts {
		if n < 0 || n > maxCounted {
			return tallyRecord{}, errors.New("it contradicts itself")
		}
	}
	if !believable(t.History) {
		t.History = nil
	}
	return t, nil
}

func believable(history []markRecord) bool {
	before := int64(-1)
	for _, m := range history {
		if m.At <= before || m.At > maxMarkAt || m.Sent < 0 || m.Sent > maxCounted || m.Dead < 0 || m.Dead > maxCounted {
			return false
		}
		before = m.At
	}
	return len(history) <= maxMarks
}

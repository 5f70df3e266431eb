package dispatcher

import (
	"slices"

	"github.com/invitedhq/invited/queue"
)

// mostKept jobs of lost partitions have what ended of them remembered.
const mostKept = 4096

// kept is what only this worker knows of jobs whose partition was lost: it could not be stored any more, and they may come back. Jobs
// that ended elsewhere never do, so the oldest make room; of those nothing is kept but that they may have been sent.
type kept struct {
	known    map[message]queue.Progress
	order    []message // in which they were kept; some were taken since
	doubtful recent
}

func (k *kept) keep(m message, p queue.Progress) {
	if k.known == nil {
		k.known = make(map[message]queue.Progress)
	}
	if len(k.order) >= 2*mostKept {
		k.order = slices.DeleteFunc(k.order, func(m message) bool { _, there := k.known[m]; return !there })
	}
	if _, there := k.known[m]; !there {
		k.order = append(k.order, m)
	}
	k.known[m] = p
	for len(k.known) > mostKept {
		oldest := k.order[0]
		k.order = k.order[1:]
		if _, there := k.known[oldest]; there {
			delete(k.known, oldest)
			k.doubtful.add(oldest)
		}
	}
}

// take returns what is known of a job, for good. In doubt says that it may have been sent.
func (k *kept) take(m message) (p *queue.Progress, inDoubt bool) {
	if _, there := k.known[m]; !there {
		return nil, k.doubtful.has(m) // nearly always: known would be allocated for nothing
	}
	known := k.known[m]
	delete(k.known, m)
	return &known, false
}

package dispatcher

import "slices"

// mostKept jobs of lost partitions have what ended of them remembered.
const mostKept = 4096

// kept is what only this worker knows of jobs whose partition was lost: it could not be stored any more, and they may come back. Jobs
// that ended elsewhere never do, so the oldest make room; of those nothing is kept but that they may have been sent.
type kept struct {
	known    map[message]*held
	order    []message // in which they were kept; some were taken since
	doubtful recent
}

func (k *kept) keep(h *held) {
	if k.known == nil {
		k.known = make(map[message]*held)
	}
	if len(k.order) >= 2*mostKept {
		k.order = slices.DeleteFunc(k.order, func(m message) bool { _, there := k.known[m]; return !there })
	}
	m := messageOf(h.delivery)
	if _, there := k.known[m]; !there {
		k.order = append(k.order, m)
	}
	k.known[m] = h
	for len(k.known) > mostKept {
		oldest := k.order[0]
		k.order = k.order[1:]
		if _, there := k.known[oldest]; there {
			delete(k.known, oldest)
			k.doubtful.add(oldest)
		}
	}
}

// take returns a job, for good; nil: it is not kept. In doubt says that it may have been sent.
func (k *kept) take(m message) (h *held, inDoubt bool) {
	if h = k.known[m]; h == nil {
		return nil, k.doubtful.has(m)
	}
	delete(k.known, m)
	return h, false
}

// takeOf returns the jobs of a partition, for good, but for those whose ending is stored: of them everybody can know.
func (k *kept) takeOf(partition int) (all []*held) {
	for m, h := range k.known {
		if h.delivery.Partition == partition && h.end == nil {
			delete(k.known, m)
			all = append(all, h)
		}
	}
	return all
}

package dispatcher

import "time"

// lookEvery is how often the loop looks at the time by itself: at its worker's
// lease, which may have been renewed, and at those of the messages it holds.
const lookEvery = 500 * time.Millisecond

// keepLeases renews the leases of the messages of all jobs held. Whose they are
// to send does not hang on it: that is the partition's owner's.
func (l *loop) keepLeases(now time.Time) {
	if now.Sub(l.extended) < l.cfg.AckWait/3 {
		return
	}
	l.extended = now
	for _, h := range l.held {
		if err := h.delivery.Extend(); err != nil {
			l.log.Debug("a lease could not be extended", "job", h.delivery.ID(), "error", err)
		}
	}
}

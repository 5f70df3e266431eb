package tokens

import "time"

// lead is how long before its end a token is refreshed: a tenth of its life, and at least a quarter of an hour, so that
// whoever is called has time to act while it still serves. Where all that are kept may end at once, and each takes a time
// of its own (each), it is long enough for all of them. At most half the life: reuse is what the service asks for.
func lead(life time.Duration, kept int, each time.Duration) time.Duration {
	least := max(life/10, 15*time.Minute)
	return min(max(least, time.Duration(kept)*each), life/2)
}

// refreshAt spreads the refreshes of tokens that end at one time.
func (s *serving) refreshAt(kept int, each time.Duration) time.Time {
	l := lead(s.end.Sub(s.since), kept, each)
	return s.end.Add(-time.Duration((0.8 + 0.2*s.random) * float64(l)))
}

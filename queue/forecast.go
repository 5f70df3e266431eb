package queue

import (
	"math"
	"slices"
	"time"
)

// Outlook is what is known, at one moment, of how fast a sender and title may
// send, and of who else sends there. [Organizer.Outlook] asks the queue for it.
type Outlook struct {
	At time.Time // the moment: times of Key are by the same clock
	// Windows are what the workers are configured with; all hold at once. None: no quota is known.
	Windows []Window
	// Announced says that Windows and Reserve are the workers' own word, which may be that they know no quota.
	Announced bool
	// Reserve is the share of each window, 0 to below 1, that campaigns leave free until Key.ReservedUntil.
	Reserve float64
	// Key is what was stored of it last: calls that count, windows that were learnt, a block.
	Key KeyState
	// Others are the campaigns of the same sender and title that take turns with this one. Those that are
	// paused, have not begun or are cancelled do not.
	Others []OtherCampaign
}

// OtherCampaign is one that shares a sender and title.
type OtherCampaign struct {
	Name string
	Jobs int // that wait: a call each, if Organizer.Start made them
	// Raw says that nobody but their publisher knows how many recipients the jobs
	// have: one may need several calls, or several share one.
	Raw bool
	// Limited says that it has a rate of its own, and may not take each of its turns.
	Limited bool
}

// Work is what is left of a campaign.
type Work struct {
	Recipients int
	Calls      int // 0: as many as the recipients need, 16 a call
	// Raw says that Recipients and Calls are guesses, as in OtherCampaign.
	Raw bool
	// PerSecond is a limit of recipients that the campaign has itself; 0: none.
	PerSecond float64
	// StartAt is when it begins, by the clock of Outlook.At; zero: now.
	StartAt time.Time
	// Rate is how many recipients a second have ended lately; 0: not known. It is used where no quota is known.
	Rate float64
}

// Basis is what a forecast goes by. The set is closed.
type Basis string

// The bases.
const (
	ByNothing Basis = ""      // nothing is known: no time can be told
	ByQuota   Basis = "quota" // the windows, exactly
	ByLimit   Basis = "limit" // the campaign's own limit alone
	ByRate    Basis = "rate"  // what was seen lately goes on
)

// Forecast is how long a campaign takes from now on, and why.
//
// Least is the time until its last call is made, if each is made the moment it
// may be and is answered at once. Players who wait, calls that the game itself
// makes, refusals, outages and the time of answers make it longer: nothing of
// that can be known. Where Rough says so even that is no bound.
type Forecast struct {
	Basis Basis
	Calls int
	Least time.Duration // 0 with ByNothing
	Alone time.Duration // the same without the other campaigns; 0 with ByNothing and ByRate: not known
	// Rough says that it may be less as well: jobs whose calls had to be guessed, a rate that was seen, or MayRise.
	Rough bool

	Windows []Window // that hold now, the learnt ones included
	Learnt  bool     // refusals made them narrower than what is configured
	MayRise bool     // and narrower than what the service is known to allow: the worker tries for more by and by
	// BlockedUntil is the end of a Retry-After; zero: none.
	BlockedUntil time.Time
	// Reserve is the share left to players until ReservedUntil at the least; 0: none.
	Reserve       float64
	ReservedUntil time.Time
	PerSecond     float64         // the campaign's own limit; 0: none
	StartAt       time.Time       // when it begins; zero: it may send now
	Others        []OtherCampaign // that take turns with it
}

// Forecast says how long the work takes. It asks nobody.
func (o Outlook) Forecast(w Work) Forecast {
	if w.Calls <= 0 {
		w.Calls = jobsFor(w.Recipients)
	}
	f := Forecast{Calls: w.Calls, Rough: w.Raw, PerSecond: w.PerSecond}
	if w.Calls == 0 {
		return f
	}
	f.Others = o.Others
	total := w.Calls
	for _, other := range o.Others {
		// A call each in turn, so no more of another's than of its own go before its last.
		total += min(max(other.Jobs, 0), w.Calls-1)
		f.Rough = f.Rough || other.Raw || other.Limited
	}
	f.hold(o)
	if w.StartAt.After(o.At) {
		f.StartAt = w.StartAt
	}
	blocked := f.wait(o.At)
	limit := blocked + span(float64(w.Recipients-callSize), w.PerSecond)
	switch {
	case len(f.Windows) > 0:
		f.Basis = ByQuota
		f.Least, f.Alone = max(o.takes(f, total), limit), max(o.takes(f, w.Calls), limit)
	case w.Rate > 0:
		f.Basis, f.Rough = ByRate, true
		f.Least = max(blocked+span(float64(w.Recipients), w.Rate), limit)
	case w.PerSecond > 0:
		f.Basis = ByLimit
		f.Least, f.Alone = limit, limit
	}
	return f
}

// wait is how long no call is made whatever the quota allows.
func (f *Forecast) wait(now time.Time) time.Duration {
	return max(f.BlockedUntil.Sub(now), f.StartAt.Sub(now), 0)
}

// span is how long so many take; 0 without a rate.
func span(n, perSecond float64) time.Duration {
	if n <= 0 || perSecond <= 0 {
		return 0
	}
	return time.Duration(min(n/perSecond*float64(time.Second), float64(longestForecast)))
}

// hold says what holds the calls back. Configured windows are upper bounds, whatever was learnt.
func (f *Forecast) hold(o Outlook) {
	f.Windows = slices.Clone(o.Windows)
	for _, l := range o.Key.Learnt {
		i := slices.IndexFunc(f.Windows, func(w Window) bool { return w.Per == l.Per })
		switch {
		case i < 0:
			f.Windows = append(f.Windows, Window{l.Max, l.Per})
		case l.Max < f.Windows[i].Max:
			f.Windows[i].Max = l.Max
		default:
			continue
		}
		f.Learnt = true
		f.MayRise = f.MayRise || l.Most == 0 || l.Max < l.Most
	}
	f.Rough = f.Rough || f.MayRise
	if o.Key.BlockedUntil.After(o.At) {
		f.BlockedUntil = o.Key.BlockedUntil
	}
	if o.Key.ReservedUntil.After(o.At) && o.Reserve > 0 && len(f.Windows) > 0 {
		f.Reserve, f.ReservedUntil = o.Reserve, o.Key.ReservedUntil
	}
}

// takes is from now until so many calls are made.
func (o Outlook) takes(f Forecast, calls int) time.Duration {
	windows := narrow(f.Windows, calls, o.Key)
	reserved := narrow(unreserved(f.Windows, f.Reserve), calls, o.Key)
	s := newSchedule(slices.Concat(windows, reserved), o.Key, o.At)
	s.last = max(s.last, f.wait(o.At))
	if f.Reserve > 0 {
		until := f.ReservedUntil.Sub(o.At)
		if calls -= s.make(calls, reserved, until); calls > 0 {
			s.last = max(s.last, until)
		}
	}
	s.make(calls, windows, math.MaxInt64)
	return s.last
}

// narrow leaves out windows that so many calls and those before can't fill, and
// what nobody can have configured: a record's number is not worth the memory.
func narrow(windows []Window, calls int, k KeyState) (narrow []Window) {
	calls += k.Open
	for _, run := range k.Calls {
		calls += run.N
	}
	for _, w := range windows {
		if w.Max > 0 && w.Per > 0 && w.Max < calls && w.Max <= maxWindowCalls {
			narrow = append(narrow, w)
		}
	}
	return narrow
}

// unreserved is what campaigns may use of windows. The reserve is rounded up,
// because less than a call would be none, but is never the whole window.
func unreserved(windows []Window, share float64) []Window {
	left := slices.Clone(windows)
	for i, w := range left {
		left[i].Max = w.Max - min(int(math.Ceil(share*float64(w.Max))), w.Max-1)
	}
	return left
}

// longestForecast is far beyond what anybody plans, and can be added up.
const longestForecast = 100 * 365 * 24 * time.Hour

// schedule makes calls as early as windows let it, as the worker's sliding log
// does: a call waits until the one that came Max before it is Per ago. Times are from now.
//
// It is a recurrence that repeats itself before long, shifted by the length of
// the window that lets least through: then whole rounds are taken at once, and
// millions of calls cost no more than some thousands.
type schedule struct {
	ends []time.Duration // of the last calls: a ring, of a power of two
	n    int             // calls so far
	most int             // the largest window: as many calls decide on the next
	last time.Duration   // no call is made before it
}

// never is before all that counts, and Per can be added to it.
const never = time.Duration(math.MinInt64 / 2)

func newSchedule(windows []Window, k KeyState, at time.Time) *schedule {
	s := &schedule{}
	for _, w := range windows {
		s.most = max(s.most, w.Max)
	}
	size := 1
	for size < s.most {
		size *= 2
	}
	s.ends = make([]time.Duration, size)
	for i := range s.ends {
		s.ends[i] = never
	}
	runs := append(slices.Clone(k.Calls), CallRun{at, k.Open}) // what is open is answered now, at the earliest
	slices.SortFunc(runs, func(a, b CallRun) int { return a.At.Compare(b.At) })
	for _, run := range runs {
		for range min(run.N, size) {
			s.add(min(run.At.Sub(at), 0))
		}
	}
	return s
}

func (s *schedule) add(end time.Duration) {
	s.ends[s.n&(len(s.ends)-1)] = end
	s.n++
}

// before is when the n-th last call ended, from 1.
func (s *schedule) before(n int) time.Duration { return s.ends[(s.n-n)&(len(s.ends)-1)] }

// patientSteps are taken without a round that repeats itself. Then rounds are
// taken at once all the same: what comes of that is never too late.
const patientSteps = 1 << 20

// make makes calls, at most so many, while they are made before a time. It returns how many it made.
func (s *schedule) make(calls int, windows []Window, until time.Duration) (made int) {
	var slowest Window
	for _, w := range windows {
		if slowest.Max == 0 || float64(w.Per)/float64(w.Max) > float64(slowest.Per)/float64(slowest.Max) {
			slowest = w
		}
	}
	if slowest.Max == 0 { // they can be made at once
		if s.last >= until {
			return 0
		}
		return calls
	}
	same := 0
	for steps := 0; made < calls; steps++ {
		at := s.last
		for _, w := range windows {
			at = max(at, s.before(w.Max)+w.Per)
		}
		if at >= longestForecast {
			s.last = longestForecast
			return calls
		}
		if at >= until {
			return made
		}
		if same++; at != s.before(slowest.Max)+slowest.Per {
			same = 0
		}
		s.add(at)
		s.last = at
		made++
		if same >= s.most || steps == patientSteps {
			made += s.rounds(slowest, calls-made, min(until, longestForecast)-at)
			same = 0
		}
	}
	return made
}

// rounds makes calls of whole rounds, at most so many, within a time, and returns how many it made.
func (s *schedule) rounds(w Window, calls int, within time.Duration) int {
	n := min(calls/w.Max, int(within/w.Per)-1)
	if n <= 0 {
		return 0
	}
	for i := range s.ends {
		s.ends[i] += time.Duration(n) * w.Per
	}
	s.last += time.Duration(n) * w.Per
	return n * w.Max
}

package queue

import (
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
)

// Activity is what a worker tells the others of its work, beside its lease: once
// a second, and some hundred bytes as long as nobody watches. It is for people
// to look at; nothing is decided by it. Counters are since the worker began.
type Activity struct {
	Sent  uint64            `json:"sent,omitzero"`  // recipients in calls that were answered with 204
	Dead  uint64            `json:"dead,omitzero"`  // dead letters
	Calls map[string]uint64 `json:"calls,omitzero"` // by what their answer meant

	InHand     int   `json:"inHand,omitzero"`   // jobs that were delivered to it and have not ended
	InFlight   int   `json:"inFlight,omitzero"` // calls
	QuotaBound bool  `json:"bound,omitzero"`    // what waits there waits for quota alone
	Partitions []int `json:"parts,omitzero"`    // that it owns

	Watching bool          `json:"watching,omitzero"` // somebody watches all workers here, so that each tells details
	Keys     *KeysActivity `json:"keys,omitzero"`     // how its senders and titles stand; nil: it does not say
}

// KeysActivity is how the senders and titles of a worker stand: how many, and
// the first few of each sort. What keeps invites from being sent is always told.
type KeysActivity struct {
	Watched bool `json:"watched,omitzero"` // BlockedTop and Quota are told, as somebody watches

	Blocked    int           `json:"blocked,omitzero"` // inside a Retry-After
	BlockedTop []KeyActivity `json:"blockedTop,omitzero"`
	Tokenless  int           `json:"tokenless,omitzero"` // that wait for a token the API takes
	TokenTop   []KeyActivity `json:"tokenTop,omitzero"`
	Quota      []KeyActivity `json:"quota,omitzero"` // those that use the most of theirs
	Outages    []KeyActivity `json:"outages,omitzero"`
}

// KeyActivity is how one sender and title stands; of an outage, a whole title.
// Spans of time count from when it was said: no two clocks have to agree.
type KeyActivity struct {
	TitleID uint32        `json:"title"`
	Sender  string        `json:"sender,omitzero"`
	Opens   int64         `json:"opensMs,omitzero"` // in how many milliseconds it may send again
	For     int64         `json:"forMs,omitzero"`   // for how many milliseconds it has been so
	Waiting int           `json:"waiting,omitzero"` // recipients of its jobs in hand
	Refused bool          `json:"refused,omitzero"` // the API refuses its token; else there is none
	Windows []WindowUsage `json:"windows,omitzero"`
}

// WindowUsage is how many calls of a window are used up.
type WindowUsage struct {
	Used int   `json:"used"`
	Max  int   `json:"max"`
	Per  int64 `json:"perMs"` // milliseconds
}

// WorkerActivity is what a worker said last.
type WorkerActivity struct {
	Name    string
	Self    bool          // this worker
	Up      time.Duration // how long it had run then; 0: it does not say
	Heard   time.Time     // by this worker's clock
	Leaving bool
	Activity
}

// ReportActivity has this worker tell the others what report returns. It is
// called once a second, from one goroutine at a time, on the way to a renewal of
// the lease: it must return at once. Call it before Consume.
func (q *Queue) ReportActivity(report func() Activity) { q.report.Store(&report) }

// Activities is what each worker that has a lease has said of its work, by name:
// what this one hears anyway, so it asks nobody. Nil while this worker takes no part.
func (q *Queue) Activities() []WorkerActivity {
	m := q.members.Load()
	if m == nil {
		return nil
	}
	var all []WorkerActivity
	add := func(name string, said spoken) {
		if said.at.IsZero() {
			return
		}
		w := WorkerActivity{
			Name: name, Self: name == m.me, Up: milliseconds(said.record.For, longestRun), Heard: said.at, Leaving: said.record.Leaving,
		}
		w.Activity = readActivity(said.record.Activity)
		all = append(all, w)
	}
	m.mu.Lock()
	mine := m.said
	others := make(map[string]spoken, len(m.others))
	for name, other := range m.others {
		others[name] = other.said
	}
	m.mu.Unlock()
	add(m.me, mine)
	for name, said := range others {
		add(name, said)
	}
	slices.SortFunc(all, func(a, b WorkerActivity) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// What is believed of a worker that says more than one does: somebody else may have written its record.
const (
	maxToldKeys  = 64
	maxToldCalls = 32
	maxToldSpan  = int64(10 * 365 * 24 * time.Hour / time.Millisecond)
)

// readActivity is nothing where it is of a worker of another version, or of none.
func readActivity(data []byte) (a Activity) {
	if json.Unmarshal(data, &a) != nil || len(a.Calls) > maxToldCalls {
		return Activity{}
	}
	a.InHand, a.InFlight = max(a.InHand, 0), max(a.InFlight, 0)
	a.Partitions = slices.DeleteFunc(a.Partitions, func(n int) bool { return n < 0 || n >= maxPartitions })
	a.Partitions = a.Partitions[:min(len(a.Partitions), maxPartitions)]
	if k := a.Keys; k != nil {
		k.Blocked, k.Tokenless = max(k.Blocked, 0), max(k.Tokenless, 0)
		for _, told := range []*[]KeyActivity{&k.BlockedTop, &k.TokenTop, &k.Quota, &k.Outages} {
			*told = (*told)[:min(len(*told), maxToldKeys)]
			for i := range *told {
				(*told)[i].bound()
			}
		}
	}
	return a
}

func (k *KeyActivity) bound() {
	k.Opens, k.For, k.Waiting = min(max(k.Opens, 0), maxToldSpan), min(max(k.For, 0), maxToldSpan), max(k.Waiting, 0)
	k.Windows = k.Windows[:min(len(k.Windows), maxToldKeys)]
	for i, w := range k.Windows {
		k.Windows[i] = WindowUsage{Used: max(w.Used, 0), Max: max(w.Max, 1), Per: min(max(w.Per, 0), maxToldSpan)}
	}
}

// spoken is what a worker said of itself last.
type spoken struct {
	record memberRecord
	at     time.Time
}

// activity is what this worker says of its work; nil: nothing.
func (m *members) activity() []byte {
	report := m.q.report.Load()
	if report == nil {
		return nil
	}
	data, err := json.Marshal((*report)(), json.Deterministic(true))
	if err != nil { // a name that is not UTF-8, and there is none
		return nil
	}
	return data
}

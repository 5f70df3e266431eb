package queue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go/jetstream"
)

// Window lets Max calls of a sender and title through in any time of length Per.
type Window struct {
	Max int
	Per time.Duration
}

// String is calls and time, such as 7/15s.
func (w Window) String() string {
	per := w.Per.String()
	if w.Per%time.Second == 0 { // not 5m0s
		per = strconv.FormatInt(int64(w.Per/time.Second), 10) + "s"
	}
	return strconv.Itoa(w.Max) + "/" + per
}

// WindowsString is the windows with commas between them, such as 7/15s,50/300s; empty: no quota is known.
func WindowsString(windows []Window) string {
	texts := make([]string, len(windows))
	for i, w := range windows {
		texts[i] = w.String()
	}
	return strings.Join(texts, ",")
}

// Quota is what workers are configured with for each sender and title.
type Quota struct {
	Limits // of a title that has none of its own
	// Reserve is the share of each window, 0 to below 1, that campaigns leave free while players may come.
	Reserve float64
	// Titles are the limits of single titles, whole: nothing is inherited. At most 10,000.
	Titles map[uint32]Limits
}

// Limits are what one sender and title is allowed.
type Limits struct {
	Windows     []Window // all hold at once; none: no quota is known, it is learnt from answers
	MaxInFlight int      // calls at once
}

// For returns the limits of a title. Their windows are shared with q: read them only.
func (q Quota) For(titleID uint32) Limits {
	if l, ok := q.Titles[titleID]; ok {
		return l
	}
	return q.Limits
}

// quotaRecord is a Quota as it is stored.
type quotaRecord struct {
	limitsRecord
	Reserve float64                 `json:"interactiveReserve"`
	Titles  map[uint32]limitsRecord `json:"titles,omitempty"`
}

type limitsRecord struct {
	Windows     []windowRecord `json:"windows"`
	MaxInFlight int            `json:"maxInFlight"`
}

func recordOfLimits(l Limits) limitsRecord {
	r := limitsRecord{Windows: make([]windowRecord, len(l.Windows)), MaxInFlight: l.MaxInFlight}
	for i, w := range l.Windows {
		r.Windows[i] = windowRecord{Max: w.Max, Per: w.Per.Milliseconds()}
	}
	return r
}

func recordOfQuota(q Quota) quotaRecord {
	r := quotaRecord{limitsRecord: recordOfLimits(q.Limits), Reserve: q.Reserve}
	if len(q.Titles) > 0 {
		r.Titles = make(map[uint32]limitsRecord, len(q.Titles))
	}
	for id, l := range q.Titles {
		r.Titles[id] = recordOfLimits(l)
	}
	return r
}

// What a record may say: what can be configured. Who reads it plans with it, and
// must not count to a quintillion because of one number in it.
const (
	maxQuotaTitles  = 10_000
	maxQuotaWindows = 16
	maxWindowCalls  = 1_000_000
	maxAtOnce       = 1024
)

func (r limitsRecord) limits() (l Limits, err error) {
	if len(r.Windows) > maxQuotaWindows || r.MaxInFlight < 0 || r.MaxInFlight > maxAtOnce {
		return l, errQuotaRecord
	}
	l.MaxInFlight = r.MaxInFlight
	for _, w := range r.Windows {
		if w.Max < 1 || w.Max > maxWindowCalls || w.Per < 1 || w.Per > keysKept.Milliseconds() {
			return Limits{}, errQuotaRecord
		}
		l.Windows = append(l.Windows, Window{w.Max, time.Duration(w.Per) * time.Millisecond})
	}
	return l, nil
}

var errQuotaRecord = errors.New("the quota there is none that can be configured")

func decodeQuota(data []byte) (q Quota, err error) {
	var r quotaRecord
	if err := json.Unmarshal(data, &r); err != nil {
		return q, err
	}
	isShare := r.Reserve >= 0 && r.Reserve < 1 // NaN is neither
	if !isShare || len(r.Titles) > maxQuotaTitles {
		return q, errQuotaRecord
	}
	q.Reserve = r.Reserve
	if q.Limits, err = r.limits(); err != nil {
		return Quota{}, err
	}
	for id, own := range r.Titles {
		l, err := own.limits()
		if err != nil {
			return Quota{}, err
		}
		if q.Titles == nil {
			q.Titles = make(map[uint32]Limits, len(r.Titles))
		}
		q.Titles[id] = l
	}
	return q, nil
}

// AnnounceQuota has the quota that this worker is configured with stored for
// tools to see, once Consume runs, and unless it is what is there already. It is
// for what people are told, and nothing that is sent depends on it. It returns at
// once; call it again when the configuration changes. The last word of all workers counts.
func (q *Queue) AnnounceQuota(quota Quota) {
	q.quota.Store(&quota)
	signal(q.quotaSet)
}

// quotaAgain is how long after a failure it is tried again. Nobody waits for it.
const quotaAgain = time.Minute

// keepQuota stores what AnnounceQuota says, until ctx ends.
func (q *Queue) keepQuota(ctx context.Context) {
	signal(q.quotaSet) // it may have been said to the Consume before
	again := time.NewTimer(quotaAgain)
	defer again.Stop()
	for {
		select {
		case <-q.quotaSet:
		case <-again.C:
		case <-ctx.Done():
			return
		}
		quota := q.quota.Load()
		if quota == nil {
			continue
		}
		if err := q.storeQuota(ctx, *quota); err != nil && ctx.Err() == nil {
			q.trouble.warn(q.log, "the quota can't be stored for tools to see; it is tried again", "error", err)
			again.Reset(quotaAgain)
		}
	}
}

func (q *Queue) storeQuota(ctx context.Context, quota Quota) error {
	if len(quota.Titles) > maxQuotaTitles {
		return fmt.Errorf("%d titles with a quota of their own: at most %d can be told of", len(quota.Titles), maxQuotaTitles)
	}
	stored, revision, err := readQuota(ctx, q.streams[ControlStream])
	if err != nil && !errors.Is(err, errRecord) { // one that can't be read is written anew
		return err
	}
	same, err := sameRecord(recordOfQuota(stored), recordOfQuota(quota))
	if err != nil || same && revision > 0 {
		return err
	}
	_, err = putRecord(ctx, q.js, quotaSubject, revision, recordOfQuota(quota))
	if isWrongSequence(err) {
		return nil // another worker said its own at the same moment: the last word
	}
	return err
}

// readQuota reads the workers' last word; revision 0: they have said nothing.
func readQuota(ctx context.Context, control jetstream.Stream) (q Quota, revision uint64, err error) {
	q, revision, _, err = getRecord(ctx, control, quotaSubject, decodeQuota)
	return q, revision, err
}

func sameRecord(a, b quotaRecord) (bool, error) {
	one, err := json.Marshal(a, json.Deterministic(true))
	if err != nil {
		return false, err
	}
	other, err := json.Marshal(b, json.Deterministic(true))
	return bytes.Equal(one, other), err
}

package queue

import (
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/nats-io/nats.go"
)

// Result is how one job ended. Its JSON is the contract's: all fields are
// always there, but for cancelled.
type Result struct {
	ID             string    `json:"id"`
	TitleID        uint32    `json:"titleId"` // 0: could not be read
	Sender         string    `json:"sender"`
	Campaign       string    `json:"campaign"` // empty: none
	Sent           int       `json:"sent"`     // recipients
	Dead           int       `json:"dead"`     // recipients; 0 for what was no job
	Reason         Reason    `json:"reason"`   // of most of the dead; empty: none
	Attempts       int       `json:"attempts"` // calls
	PublishedAt    time.Time `json:"publishedAt"`
	EndedAt        time.Time `json:"endedAt"`
	MaybeDuplicate bool      `json:"maybeDuplicate"`
	Cancelled      int       `json:"cancelled,omitzero"` // recipients that were dropped: their campaign was cancelled

	Job         string `json:"-"` // the job's message, "<stream>:<sequence>"
	Traceparent string `json:"-"` // as the producer sent it
}

func resultOf(d *Delivery, e Ending) Result {
	r := Result{
		ID: d.ID(), TitleID: d.Address.TitleID, Sender: d.Address.Sender, Campaign: d.Address.Campaign,
		Sent: e.Sent, Attempts: e.Attempts, MaybeDuplicate: e.MaybeDuplicate, Cancelled: e.Cancelled,
		PublishedAt: d.PublishedAt.UTC(), EndedAt: e.EndedAt.UTC(),
	}
	most := -1
	counts := make(map[Reason]int, len(e.Dead))
	for _, dead := range e.Dead {
		n := len(dead.Recipients)
		r.Dead += n
		counts[dead.Reason] += n
		if counts[dead.Reason] > most {
			most, r.Reason = counts[dead.Reason], dead.Reason
		}
	}
	return r
}

// resultMessage is what is stored of it.
func resultMessage(d *Delivery, e Ending) *nats.Msg {
	// There are no duplicate names; looking for them costs as much as all else.
	data, err := json.Marshal(resultOf(d, e), jsontext.AllowDuplicateNames(true))
	if err != nil { // only an id that is not UTF-8 could be at fault, and there is none
		data = []byte(`{}`)
	}
	h := make(nats.Header, 4)
	setHeader(h, nats.MsgIdHdr, resultIDPrefix+d.key().String())
	setHeader(h, headerJob, d.key().reference())
	setHeader(h, headerReplay, cut(d.replay, maxTraceparent))
	setHeader(h, headerTraceparent, d.Traceparent)
	if counts := e.deadByReason(); len(counts) > 1 {
		setHeader(h, headerDead, encodeCounts(counts))
	}
	return &nats.Msg{Subject: resultSubject(d.Address), Header: h, Data: data}
}

const resultIDPrefix = "result:"

func resultSubject(a Address) string {
	return string(appendTokens(append(make([]byte, 0, 128), resultsPrefix...), a))
}

// addressTokens writes - for what there is not.
func addressTokens(a Address) string { return string(appendTokens(nil, a)) }

func appendTokens(b []byte, a Address) []byte {
	b = append(strconv.AppendUint(b, uint64(a.TitleID), 10), '.')
	b = append(append(b, or(a.Sender, "-")...), '.')
	return append(b, or(a.Campaign, "-")...)
}

// parseResult reads a stored result.
func parseResult(m *nats.Msg) (Result, error) {
	var r Result
	if err := json.Unmarshal(m.Data, &r); err != nil {
		return Result{}, err
	}
	r.Job = printable(m.Header.Get(headerJob))
	r.Traceparent = traceparentOf(m.Header)
	return r, nil
}

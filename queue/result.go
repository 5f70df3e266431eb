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

func resultOf(d *Delivery, e Ending) *Result {
	r := &Result{
		ID: d.ID(), TitleID: d.Address.TitleID, Sender: d.Address.Sender, Campaign: d.Address.Campaign,
		Sent: e.Sent, Attempts: e.Attempts, MaybeDuplicate: e.MaybeDuplicate, Cancelled: e.Cancelled,
		PublishedAt: d.PublishedAt.UTC(), EndedAt: e.EndedAt.UTC(),
	}
	most := -1
	counts := make(map[Reason]int) // without room for any, it costs nothing where nobody is dead
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
	h := make(nats.Header, 4)
	setHeader(h, nats.MsgIdHdr, resultIDPrefix+d.key().String())
	setHeader(h, headerJob, d.key().reference())
	setHeader(h, headerReplay, cut(d.replay, maxTraceparent))
	setHeader(h, headerTraceparent, d.Traceparent)
	if counts := e.deadByReason(); len(counts) > 1 {
		setHeader(h, headerDead, encodeCounts(counts))
	}
	return &nats.Msg{Subject: resultSubject(d.Address), Header: h, Data: resultOf(d, e).encode()}
}

// encode writes what json.Marshal would. It is done for each job that ends, and this way the whole message takes half as long.
func (r *Result) encode() []byte {
	b := make([]byte, 0, 320)
	text := func(name, value string) {
		b, _ = jsontext.AppendQuote(append(b, name...), value) // what is no UTF-8 is replaced
	}
	number := func(name string, value int) { b = strconv.AppendInt(append(b, name...), int64(value), 10) }
	moment := func(name string, value time.Time) {
		b = append(value.AppendFormat(append(append(b, name...), '"'), time.RFC3339Nano), '"')
	}
	text(`{"id":`, r.ID)
	number(`,"titleId":`, int(r.TitleID))
	text(`,"sender":`, r.Sender)
	text(`,"campaign":`, r.Campaign)
	number(`,"sent":`, r.Sent)
	number(`,"dead":`, r.Dead)
	text(`,"reason":`, string(r.Reason))
	number(`,"attempts":`, r.Attempts)
	moment(`,"publishedAt":`, r.PublishedAt)
	moment(`,"endedAt":`, r.EndedAt)
	b = strconv.AppendBool(append(b, `,"maybeDuplicate":`...), r.MaybeDuplicate)
	if r.Cancelled != 0 {
		number(`,"cancelled":`, r.Cancelled)
	}
	return append(b, '}')
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

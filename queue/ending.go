package queue

import "time"

// Dead is why some recipients of a job were not sent.
type Dead struct {
	Reason     Reason
	Detail     string // human words; stored as valid UTF-8 without control characters, cut at 1 KiB
	Status     int    // the API's HTTP status; 0: none
	ErrorCode  string // the API's error code; empty: none
	Recipients []XUID // whom it is about; the letter's body is the job with only them. Empty: the body as it came
}

// Ending is how a job ended.
type Ending struct {
	Sent           int       // recipients
	Dead           []Dead    // one dead letter each
	Cancelled      int       // recipients that are dropped: the job's campaign was cancelled
	Attempts       int       // calls made
	MaybeDuplicate bool      // a call's outcome was unknown: some may have been sent twice
	EndedAt        time.Time // by this worker's clock; what is stored is the server's
}

// deadByReason counts recipients.
func (e Ending) deadByReason() map[Reason]int {
	counts := make(map[Reason]int, len(e.Dead))
	for _, dead := range e.Dead {
		counts[dead.Reason] += len(dead.Recipients)
	}
	return counts
}

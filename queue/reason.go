package queue

// Reason says why a recipient became a dead letter. The set is closed.
type Reason string

// The reasons of the contract.
const (
	Invalid       Reason = "invalid"       // no job, or one that breaks the rules; no call was made
	Rejected      Reason = "rejected"      // the API refused the recipient or the request
	Forbidden     Reason = "forbidden"     // the sender may not send invites
	Expired       Reason = "expired"       // expiresAt passed, or could not be met
	Exhausted     Reason = "exhausted"     // transient failures used up its attempts
	Ambiguous     Reason = "ambiguous"     // it may have been sent, and sending it again was not wanted
	Misconfigured Reason = "misconfigured" // the base URL, title or contract version is wrong
)

// Reasons returns all reasons.
func Reasons() []Reason {
	return []Reason{Invalid, Rejected, Forbidden, Expired, Exhausted, Ambiguous, Misconfigured}
}

// Known says whether r is one of Reasons.
func (r Reason) Known() bool {
	switch r {
	case Invalid, Rejected, Forbidden, Expired, Exhausted, Ambiguous, Misconfigured:
		return true
	default:
		return false
	}
}

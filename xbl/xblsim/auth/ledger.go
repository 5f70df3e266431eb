package auth

import "maps"

// Ledger sums up what reached the auth services since they were made.
type Ledger struct {
	Calls         int `json:"calls"`         // POSTs to one of the two endpoints, whatever came of them
	Throttled     int `json:"throttled"`     // calls answered 429
	InBlock       int `json:"inBlock"`       // calls that arrived inside a Retry-After their certificate had been given
	ServiceTokens int `json:"serviceTokens"` // issued by /service/authenticate
	AccessTokens  int `json:"accessTokens"`  // issued by /xsts/authorize

	Refused        map[string]int `json:"refused"`        // calls by the reason why they got no token, throttled ones aside
	InvitesRefused map[string]int `json:"invitesRefused"` // calls to invite endpoints by what was wrong with their token or signature
}

// clone returns figures that don't change.
func (l Ledger) clone() Ledger {
	l.Refused = maps.Clone(l.Refused)
	l.InvitesRefused = maps.Clone(l.InvitesRefused)
	return l
}

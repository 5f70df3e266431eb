package xblsim

import "maps"

// Ledger sums up what reached the server since it was made.
type Ledger struct {
	Calls      int `json:"calls"`      // POSTs to an invite endpoint of a title, whatever came of them
	Throttled  int `json:"throttled"`  // calls answered 429
	InBlock    int `json:"inBlock"`    // calls that arrived inside a Retry-After their key had been given
	Recipients int `json:"recipients"` // recipients recorded as sent, repeats counted
	Unique     int `json:"unique"`     // pairs of title and XUID among them
	Duplicates int `json:"duplicates"` // Recipients - Unique
}

// book is the ledger and the recipients behind it. It is not safe for concurrent use.
type book struct {
	ledger Ledger
	sent   map[uint32]map[uint64]int // title → XUID → times
}

// record notes an invite to each of users.
func (b *book) record(title uint32, users []uint64) {
	players := b.sent[title]
	if players == nil {
		players = make(map[uint64]int)
		b.sent[title] = players
	}
	known := len(players)
	for _, u := range users {
		players[u]++
	}
	b.ledger.Recipients += len(users)
	b.ledger.Unique += len(players) - known
	b.ledger.Duplicates = b.ledger.Recipients - b.ledger.Unique
}

// copySent returns all recipients, safe to read while the book goes on.
func (b *book) copySent() map[uint32]map[uint64]int {
	all := make(map[uint32]map[uint64]int, len(b.sent))
	for title, players := range b.sent {
		all[title] = maps.Clone(players)
	}
	return all
}

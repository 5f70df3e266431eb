package queue

import (
	"fmt"
	"strconv"
	"strings"
)

// The first two tokens of the contract's subjects.
const (
	jobsPrefix      = "invites.jobs."
	campaignsPrefix = "invites.campaigns."
	deadPrefix      = "invites.dead."
	resultsPrefix   = "invites.results."
	partPrefix      = "invites.part." // what jobs are stored under: see INVITES' subject transform
	progressPrefix  = "invites.progress."
	keysPrefix      = "invites.keys."
	workersPrefix   = "invites.workers."
	alivePrefix     = workersPrefix + "alive."
	ownerPrefix     = workersPrefix + "owner."
	controlPrefix   = "invites.control."
	orderPrefix     = controlPrefix + "order."
	tallyPrefix     = controlPrefix + "tally."
	termsPrefix     = controlPrefix + "terms."
	throughSubject  = controlPrefix + "through"
	quotaSubject    = controlPrefix + "quota"
)

// MaxName is the most characters of a sender or a campaign.
const MaxName = 64

// Address says whose job it is and where it is published.
type Address struct {
	TitleID  uint32 // above 0
	Sender   string // whose token is used; 1 to MaxName of A-Z a-z 0-9 _ -
	Campaign string // the same characters; empty: an interactive job
}

// Subject is where jobs for the address are published.
func (a Address) Subject() string {
	title := strconv.FormatUint(uint64(a.TitleID), 10)
	if a.Campaign == "" {
		return jobsPrefix + title + "." + a.Sender
	}
	return campaignsPrefix + title + "." + a.Sender + "." + a.Campaign
}

// Lane is Bulk for a campaign's address, else Interactive.
func (a Address) Lane() Lane {
	if a.Campaign == "" {
		return Interactive
	}
	return Bulk
}

// Validate says whether the address can be published to.
func (a Address) Validate() error {
	if a.TitleID == 0 {
		return &AddressError{"titleId", "0", "a title ID is a decimal number from 1 to 4294967295"}
	}
	if err := checkName("sender", a.Sender); err != nil {
		return err
	}
	if a.Campaign == "" {
		return nil
	}
	return checkName("campaign", a.Campaign)
}

// AddressError says which part of a subject or address is wrong.
type AddressError struct {
	Part    string // "subject", "titleId", "sender" or "campaign"
	Value   string // what was found
	Problem string
}

func (e *AddressError) Error() string {
	return fmt.Sprintf("%s %s: %s", e.Part, quoteShort(e.Value), e.Problem)
}

// ParseSubject reads invites.jobs.<titleId>.<sender> and
// invites.campaigns.<titleId>.<sender>.<campaign>. Where it fails it still
// returns what it could read: at most the title and the sender.
func ParseSubject(subject string) (Address, error) {
	if rest, ok := strings.CutPrefix(subject, jobsPrefix); ok {
		return parseTokens(subject, rest, 2)
	}
	if rest, ok := strings.CutPrefix(subject, campaignsPrefix); ok {
		return parseTokens(subject, rest, 3)
	}
	return Address{}, &AddressError{"subject", subject, "is neither invites.jobs.<titleId>.<sender> " +
		"nor invites.campaigns.<titleId>.<sender>.<campaign>"}
}

// parseTokens reads what follows the prefix: n tokens of title, sender and campaign.
func parseTokens(subject, rest string, n int) (a Address, err error) {
	tokens := strings.Split(rest, ".")
	if len(tokens) != n {
		return a, &AddressError{"subject", subject, fmt.Sprintf("has %d tokens after its prefix; %d are wanted", len(tokens), n)}
	}
	if a.TitleID, err = parseTitle(tokens[0]); err != nil {
		return a, err
	}
	if err = checkName("sender", tokens[1]); err != nil {
		return a, err
	}
	a.Sender = tokens[1]
	if n == 3 {
		if err = checkName("campaign", tokens[2]); err != nil {
			return a, err
		}
		a.Campaign = tokens[2]
	}
	return a, nil
}

func parseTitle(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	if err != nil || n == 0 || s[0] == '0' {
		return 0, &AddressError{"titleId", s, "a title ID is a decimal number from 1 to 4294967295, without leading zeros"}
	}
	return uint32(n), nil
}

func checkName(part, s string) error {
	if s == "" || len(s) > MaxName {
		return &AddressError{part, s, fmt.Sprintf("has %d characters; 1 to %d are allowed", len(s), MaxName)}
	}
	for i := range len(s) {
		if !nameByte(s[i]) {
			return &AddressError{part, s, "only A-Z a-z 0-9 _ and - are allowed"}
		}
	}
	return nil
}

func nameByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-'
}

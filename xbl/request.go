package xbl

import (
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// MaxInvitedUsers is the most recipients that one call takes.
const MaxInvitedUsers = 16

// Invite is one call: an invitation of up to [MaxInvitedUsers] users into a game session of one title.
type Invite struct {
	// TitleID is the title's decimal id.
	TitleID uint32
	// Sender names whose token is used. With [AudienceServer] it is also the inviting user's XUID.
	Sender string
	// InvitedUsers are 1 to 16 XUIDs, each above 0.
	InvitedUsers []uint64
	// ConnectionString is handed to the title when an invite is accepted: at most 512 UTF-16 code units; "" leaves it out.
	ConnectionString string
	// Platform restricts where the invite is shown, such as "Scarlett" or "Win32"; "" means any.
	Platform string
	// Urgent says that a player waits for it: see [PrioritySource]. It is no part of the request.
	Urgent bool
}

// check finds what would make a request the API can't read. The finer rules are the API's: it answers 400 to them.
func (inv *Invite) check(audience Audience) *Error {
	switch n := len(inv.InvitedUsers); {
	case n == 0:
		return notSent(Rejected, "invitedUsers is empty; a call takes 1 to 16 users")
	case n > MaxInvitedUsers:
		return notSent(Rejected, fmt.Sprintf("invitedUsers has %d users; a call takes 1 to 16", n))
	}
	for i, xuid := range inv.InvitedUsers {
		if xuid == 0 {
			return notSent(Rejected, fmt.Sprintf("invitedUsers[%d] is 0, which is no XUID", i))
		}
	}
	if audience == AudienceServer && !isXUID(inv.Sender) {
		// Not Rejected: that is worth narrowing down to the recipient at fault, and it is none of them.
		return notSent(Misconfigured, "with xbl.audience: server the sender is the inviting user's XUID, a decimal number above 0")
	}
	return nil
}

func isXUID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n > 0 && s[0] != '0' && s[0] != '+'
}

func notSent(kind Kind, detail string) *Error { return &Error{Kind: kind, Detail: detail} }

// appendBody appends the request's body: the fields in the order of the API's own description, empty ones left out.
func (inv *Invite) appendBody(b []byte, audience Audience) ([]byte, *Error) {
	b = append(b, `{"invitedUsers":[`...)
	for i, xuid := range inv.InvitedUsers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = strconv.AppendUint(b, xuid, 10)
		b = append(b, '"')
	}
	b = append(b, ']')
	b, problem := appendField(b, "connectionString", inv.ConnectionString)
	if problem != nil {
		return nil, problem
	}
	b, problem = appendField(b, "platform", inv.Platform)
	if problem != nil {
		return nil, problem
	}
	if audience == AudienceServer {
		b, problem = appendField(b, "sender", inv.Sender)
		if problem != nil {
			return nil, problem
		}
	}
	return append(b, '}'), nil
}

func appendField(b []byte, name, value string) ([]byte, *Error) {
	if value == "" {
		return b, nil
	}
	b = append(b, `,"`...)
	b = append(b, name...)
	b = append(b, `":`...)
	b, err := jsontext.AppendQuote(b, value)
	if err != nil {
		return nil, notSent(Rejected, name+" is no valid UTF-8")
	}
	return b, nil
}

// bodySize is enough for most bodies, so that building one allocates once.
func (inv *Invite) bodySize() int {
	return 96 + 23*len(inv.InvitedUsers) + len(inv.ConnectionString) + len(inv.Platform) + len(inv.Sender)
}

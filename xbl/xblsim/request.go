package xblsim

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// Limits of a request. The first is ours, the others are the service's.
const (
	maxBody             = 64 << 10 // bytes
	maxInvitedUsers     = 16
	maxConnectionString = 512 // UTF-16 code units
)

// invite is what the service takes from the body of a valid request.
type invite struct {
	users  []uint64
	sender uint64 // /invites/server only
}

// parseInvite checks the body. As far as it could be read, the invite is returned with an error too:
// a call counts for its sender even if something else in it is wrong.
func parseInvite(body []byte, server bool) (invite, error) {
	// The decoder refuses repeated names and bad UTF-8 by itself.
	p := parser{dec: jsontext.NewDecoder(bytes.NewBuffer(body)), server: server}
	if err := p.object(); err != nil {
		return p.inv, err
	}
	if _, err := p.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return p.inv, errors.New("body: something follows the JSON object")
	}
	if p.inv.users == nil {
		return p.inv, errors.New("invitedUsers: missing")
	}
	if server && p.inv.sender == 0 {
		return p.inv, errors.New("sender: missing")
	}
	return p.inv, nil
}

type parser struct {
	dec    *jsontext.Decoder
	server bool
	inv    invite
}

func (p *parser) object() error {
	if p.dec.PeekKind() != '{' {
		return p.broken("a JSON object")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	for p.dec.PeekKind() == '"' {
		name, err := p.dec.ReadToken()
		if err != nil {
			return fmt.Errorf("body: %w", err)
		}
		if err := p.field(name.String()); err != nil {
			return err
		}
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return fmt.Errorf("body: %w", err)
	}
	return nil
}

func (p *parser) field(name string) error {
	switch {
	case name == "invitedUsers":
		return p.invitedUsers()
	case name == "connectionString":
		return p.connectionString()
	case name == "platform":
		return p.platform()
	case name == "sender" && p.server:
		return p.sender()
	case name == "sender":
		return errors.New("sender: only /invites/server takes it")
	}
	return fmt.Errorf("%.40q: no such field", name)
}

func (p *parser) invitedUsers() error {
	if p.dec.PeekKind() != '[' {
		return p.broken("invitedUsers: an array of strings")
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return fmt.Errorf("invitedUsers: %w", err)
	}
	users := make([]uint64, 0, maxInvitedUsers)
	for p.dec.PeekKind() != ']' {
		text, err := p.text("invitedUsers")
		if err != nil {
			return err
		}
		xuid, err := ParseXUID(text)
		if err != nil {
			return fmt.Errorf("invitedUsers[%d]: %w", len(users), err)
		}
		if slices.Contains(users, xuid) {
			return fmt.Errorf("invitedUsers[%d]: %d is there twice", len(users), xuid)
		}
		if len(users) == maxInvitedUsers {
			return fmt.Errorf("invitedUsers: more than %d", maxInvitedUsers)
		}
		users = append(users, xuid)
	}
	if _, err := p.dec.ReadToken(); err != nil {
		return fmt.Errorf("invitedUsers: %w", err)
	}
	if len(users) == 0 {
		return errors.New("invitedUsers: empty")
	}
	p.inv.users = users
	return nil
}

func (p *parser) connectionString() error {
	text, err := p.text("connectionString")
	if err != nil {
		return err
	}
	if text == "" {
		return errors.New("connectionString: empty; leave it out instead")
	}
	if n := utf16Len(text); n > maxConnectionString {
		return fmt.Errorf("connectionString: %d UTF-16 code units, more than %d", n, maxConnectionString)
	}
	return nil
}

func (p *parser) platform() error {
	text, err := p.text("platform")
	if err != nil {
		return err
	}
	switch text {
	case "Android", "IOS", "Nintendo", "PlayStation", "Scarlett", "Win32", "WindowsOneCore", "XboxOne":
		return nil
	}
	return fmt.Errorf("platform: %.40q is none of the platforms; leave it out for all", text)
}

func (p *parser) sender() error {
	text, err := p.text("sender")
	if err != nil {
		return err
	}
	if p.inv.sender, err = ParseXUID(text); err != nil {
		return fmt.Errorf("sender: %w", err)
	}
	return nil
}

// text reads a string, and nothing else: not null, and not a number.
func (p *parser) text(field string) (string, error) {
	if p.dec.PeekKind() != '"' {
		return "", p.broken(field + ": a string")
	}
	token, err := p.dec.ReadToken()
	if err != nil {
		return "", fmt.Errorf("%s: %w", field, err)
	}
	return token.String(), nil
}

// broken says that something other than expected is next. A syntax error is the better explanation where there is one.
func (p *parser) broken(expected string) error {
	if _, err := p.dec.ReadToken(); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("body: %w", err)
	}
	return fmt.Errorf("%s expected at byte %d", expected, p.dec.InputOffset())
}

// ParseXUID reads a player's id as the API writes it: a decimal number above 0 that fits 64 bits, without sign
// and leading zeros.
func ParseXUID(s string) (uint64, error) { return wire.ParseXUID(s) }

func utf16Len(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r > 0xFFFF {
			n++
		}
	}
	return n
}

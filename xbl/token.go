package xbl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// TokenSource finds the token that invites of a sender are sent with. Both methods are called from many goroutines at
// once, and Token before every call: it must be cheap while nothing changed.
type TokenSource interface {
	// Token returns the token to use now. Errors are best a [*TokenError]; they must not contain a token. A source that has
	// none yet must not take long to say so: the caller holds a place among its calls in flight meanwhile.
	Token(ctx context.Context, sender string) (Token, error)
	// Refused says that the API answered 401 to exactly this token. A source that has a newer one by now ignores it.
	Refused(sender string, t Token)
}

// Token is a valid value of the header Authorization. Every way to print, log or encode it shows "[redacted]".
// The zero Token is none.
type Token struct {
	// In an unexported field of another struct fmt can't call the methods below. It prints a pointer to a string as an
	// address then, with every verb; a string, or a pointer to a struct with one in it, it would print in full.
	secret *string
	// trial is set on a token that the API refused before and that is tried again; see [refusal].
	trial *refusal
	// signer signs calls that are made with the token; nil: they need no signature. A pointer to an interface, since fmt prints
	// that as an address, with every verb: what is behind it may be a private key.
	signer *Signer
	// NotAfter is when the token ends, zero where that is not known.
	NotAfter time.Time
}

const (
	scheme = "XBL3.0 x="
	// A header block of this size is more than common servers accept; the largest known tokens are a quarter of it.
	maxAuthorization = 32 << 10
)

// NewToken checks an Authorization value, `XBL3.0 x=<userhash>;<token>`, and makes a Token of it. White space around it
// is dropped. The error says what is wrong without repeating any of it.
func NewToken(authorization string) (Token, error) {
	authorization = strings.TrimSpace(authorization)
	if problem := checkAuthorization(authorization); problem != "" {
		return Token{}, errors.New(problem + "; expected is an Authorization value of the form XBL3.0 x=<userhash>;<token>")
	}
	return Token{secret: &authorization}, nil
}

func checkAuthorization(s string) string {
	switch rest, ok := strings.CutPrefix(s, scheme); {
	case s == "":
		return "it is empty"
	case len(s) > maxAuthorization:
		return fmt.Sprintf("it is %d bytes long, more than %d", len(s), maxAuthorization)
	case !ok:
		return "it does not begin with XBL3.0 x="
	default:
		for i := range len(rest) {
			// Line breaks here would end the header and begin one of the token's choosing.
			if rest[i] <= ' ' || rest[i] > '~' {
				return "byte " + strconv.Itoa(len(scheme)+i+1) + " is a space, a line break or no ASCII"
			}
		}
		hash, token, _ := strings.Cut(rest, ";")
		if hash == "" || token == "" {
			return "the user hash or the token after it is missing"
		}
		return ""
	}
}

// Authorization is the value of the header, for whoever makes another call with it than an invite. It is the secret
// itself: it must not be printed, logged or stored.
func (t Token) Authorization() string { return t.authorization() }

// IsZero says that there is no token.
func (t Token) IsZero() bool { return t.secret == nil }

// Equal says that both come from the same call of [NewToken]. The same text read twice makes two tokens.
func (t Token) Equal(other Token) bool { return t.secret == other.secret }

func (t Token) authorization() string {
	if t.secret == nil {
		return ""
	}
	return *t.secret
}

const redacted = "[redacted]"

// String returns "[redacted]".
func (Token) String() string { return redacted }

// GoString returns "[redacted]".
func (Token) GoString() string { return redacted }

// Format writes "[redacted]" for every verb and flag.
func (Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// LogValue is "[redacted]".
func (Token) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText returns "[redacted]".
func (Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON returns "[redacted]" as a JSON string.
func (Token) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

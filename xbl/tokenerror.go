package xbl

import (
	"fmt"
	"strconv"
	"time"
)

// TokenErrorKind says why a source has no token to give. The set is closed.
type TokenErrorKind uint8

const (
	// TokenMissing: nobody has provided one, or whoever provides them does not know the sender.
	TokenMissing TokenErrorKind = iota + 1
	// TokenInvalid: what was provided can't be used.
	TokenInvalid
	// TokenRefused: the API refused it and there is no other yet.
	TokenRefused
	// TokenDenied: whoever makes tokens refuses to make one for this sender, or for anybody: a ban, a certificate that ended.
	TokenDenied
	// TokenThrottled: whoever makes tokens must not be asked again yet.
	TokenThrottled
	// TokenUnavailable: whoever makes tokens can't be reached, fails, or has not answered yet.
	TokenUnavailable
)

// TokenErrorKinds are all of them.
func TokenErrorKinds() []TokenErrorKind {
	return []TokenErrorKind{TokenMissing, TokenInvalid, TokenRefused, TokenDenied, TokenThrottled, TokenUnavailable}
}

// String is the kind in lower case, such as "missing": a value of the label result of invited_token_refreshes_total.
func (k TokenErrorKind) String() string {
	switch k {
	case TokenMissing:
		return "missing"
	case TokenInvalid:
		return "invalid"
	case TokenRefused:
		return "refused"
	case TokenDenied:
		return "denied"
	case TokenThrottled:
		return "throttled"
	case TokenUnavailable:
		return "unavailable"
	default:
		return "TokenErrorKind(" + strconv.Itoa(int(k)) + ")"
	}
}

// NeedsAct says that time alone does not help: whoever provides tokens, most often a person, must do something.
func (k TokenErrorKind) NeedsAct() bool { return k != TokenThrottled && k != TokenUnavailable }

// TokenError is the error of a token source. [errors.As] finds it in the [*Error] of a call.
type TokenError struct {
	Kind   TokenErrorKind
	Sender string
	// Detail names the setting, file or service and the way out, never a secret.
	Detail string
	// RetryAt is when the source tries again by itself, zero where it tries with each call or can't tell. For TokenRefused of
	// [Static] and [File]: when the same token is given once more, if no other came before.
	RetryAt time.Time
	// Err is the cause where there is one, such as an error of the file system.
	Err error
}

// Error is one line. The sender is quoted and cut, as it may be any text.
func (e *TokenError) Error() string {
	s := fmt.Sprintf("token of sender %.80q is %s: %s", e.Sender, e.Kind, e.Detail)
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *TokenError) Unwrap() error { return e.Err }

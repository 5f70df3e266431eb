package queue

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"os"
	"regexp"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
)

// AccessError means that NATS refuses this user, or that this side refuses the
// server, for a reason that waiting does not mend: a password, a certificate, a
// permission. A publish that is denied never fails by itself: the server's no
// arrives beside it, on the connection, and so here.
type AccessError struct {
	Operation string // "connect", "publish" or "subscribe"
	Subject   string // of publish and subscribe; it may name a player, and Error leaves that out
	WayOut    string
	Err       error // without secrets
}

func (e *AccessError) Error() string {
	if e.Operation == opConnect {
		return fmt.Sprintf("%v: %s", e.Err, e.WayOut)
	}
	return fmt.Sprintf("NATS does not let this user %s to %s: %s", e.Operation, family(e.Subject), e.WayOut)
}

// Unwrap returns the cause.
func (e *AccessError) Unwrap() error { return e.Err }

// Lasting says whether it stays refused until the next connection, even where
// the permission is given meanwhile: a subscription is made once.
func (e *AccessError) Lasting() bool { return e.Operation == opSubscribe }

const (
	opConnect   = "connect"
	opPublish   = "publish"
	opSubscribe = "subscribe"
)

const permissionWayOut = "give it the permission (deploy/nats/permissions.conf has those of each role, with reasons), " +
	"or use another user"

// denied matches the server's words, as nats.go passes them on.
var denied = regexp.MustCompile(`Permissions Violation for (Publish|Subscription) to "([^"]+)"`)

// deniedBy reads an error of the connection's error handler; nil: it is about something else.
func deniedBy(err error) *AccessError {
	found := denied.FindStringSubmatch(err.Error())
	if !errors.Is(err, nats.ErrPermissionViolation) || found == nil {
		return nil
	}
	e := &AccessError{Operation: opPublish, Subject: found[2], WayOut: permissionWayOut, Err: nats.ErrPermissionViolation}
	if found[1] == "Subscription" {
		e.Operation = opSubscribe
	}
	return e
}

// family is a subject without its end, which may name a player: fit for logs and pages.
func family(subject string) string {
	before, own, found := strings.Cut(subject, "invites.")
	kind, _, more := strings.Cut(own, ".")
	if !found || !more {
		return subject
	}
	return before + "invites." + kind + ".…"
}

// refusedBy says what is wrong with a connection that could not be made; nil:
// it may be made later.
func (o ConnectOptions) refusedBy(err error) *AccessError {
	_, untrusted := errors.AsType[*tls.CertificateVerificationError](err)
	e := &AccessError{Operation: opConnect, Err: errors.New(withoutSecrets(err.Error()))}
	switch {
	case untrusted && o.CAFile != "":
		e.WayOut = "this is not the certificate of a server that " + o.CAFile + " vouches for, under the name in the URL; " +
			"is it the server's authority, and the server's name?"
	case untrusted:
		e.WayOut = "this system's authorities do not vouch for the server under the name in the URL; " +
			"name the file of its authority, if it has one of its own"
	case errors.Is(err, nats.ErrSecureConnWanted):
		e.WayOut = "the server has no TLS, and the URL or the certificate files ask for it; nothing was sent"
	// An alert of the server has no type, and under TLS 1.3 may get lost when the server hangs up.
	case strings.Contains(err.Error(), "tls: "), strings.Contains(err.Error(), "closed by remote after TLS handshake"):
		e.WayOut = "the server and this side do not agree on TLS; if it wants to know clients by certificate, name a certificate " +
			"and a key file that its authority vouches for"
	case isAuth(err) && o.CredentialsFile != "":
		e.WayOut = "the server does not accept " + o.CredentialsFile + "; is it of this server's account, not expired and not revoked?"
	case isAuth(err):
		e.WayOut = "is the user in the URL known to the server, and is it the right password? (or name a credentials file)"
	default:
		return nil
	}
	return e
}

func isAuth(err error) bool {
	return errors.Is(err, nats.ErrAuthorization) || errors.Is(err, nats.ErrAuthExpired) || errors.Is(err, nats.ErrAuthRevoked) ||
		errors.Is(err, nats.ErrAccountAuthExpired)
}

// inbox is where a user's replies come: below a subject of its own, so that
// permissions can keep others from reading them. Whoever allows a user _INBOX.>
// allows this too. A user without a name has the common one.
func (o ConnectOptions) inbox() string {
	name := userOf(o.URL)
	if o.CredentialsFile != "" {
		name = userOfCredentials(o.CredentialsFile)
	}
	prefix := strings.TrimSuffix(nats.InboxPrefix, ".")
	if name == "" || len(name) > MaxName {
		return prefix
	}
	for i := range len(name) {
		if !nameByte(name[i]) {
			return prefix
		}
	}
	return prefix + "." + name
}

// userOf is the user of the first URL that has one. What stands alone before
// the @ is a token, and must not show.
func userOf(urls string) string {
	for one := range strings.SplitSeq(urls, ",") {
		parsed, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			continue
		}
		if _, hasPassword := parsed.User.Password(); hasPassword {
			return parsed.User.Username()
		}
	}
	return ""
}

func userOfCredentials(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return "" // connecting says so
	}
	token, err := jwt.ParseDecoratedJWT(content)
	if err != nil {
		return ""
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return ""
	}
	return claims.Name
}

package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// ConnectOptions say how to reach NATS. The zero value of a field means its default.
type ConnectOptions struct {
	URL             string        // one, or several with commas; nats://127.0.0.1:4222
	CredentialsFile string        // a NATS .creds file
	CAFile          string        // PEM of the authorities to trust instead of the system's
	CertFile        string        // PEM of the client's own certificate; with KeyFile
	KeyFile         string        // PEM
	Name            string        // shown by the server
	Timeout         time.Duration // of one attempt to connect; 5 s
	// RetryOnFailedConnect makes Connect succeed without a server and go on trying.
	RetryOnFailedConnect bool
	// Refused is told, from a goroutine of the connection, of each refusal that
	// waiting does not mend; nil: they are only logged. The connection goes on trying.
	Refused func(*AccessError)
	Logger  *slog.Logger // slog.Default()
}

// reconnectWait is the pause between attempts, plus some jitter of the library.
const reconnectWait = 500 * time.Millisecond

var errURL = errors.New("it is not a valid URL; signs such as @ : / # % in a user name or password must be percent-encoded")

// checkSchemes refuses what nats.go would take for nats://, as https://, by which nobody could listen. It repeats nothing of the
// URL: that may hold a password.
func checkSchemes(servers string) error {
	list := strings.Split(servers, ",")
	for i, one := range list {
		scheme, _, has := strings.Cut(strings.TrimSpace(one), "://")
		if has && !slices.Contains([]string{"nats", "tls", "ws", "wss"}, strings.ToLower(scheme)) {
			return fmt.Errorf("server %d of %d is no NATS URL: write nats://host:4222, tls://…, ws://… or wss://…", i+1, len(list))
		}
	}
	return nil
}

// Connect connects to NATS with the settings that a worker needs: it reconnects
// for ever and never reports as sent what was only buffered. Replies come below
// _INBOX.<user>, where the URL or the credentials file names a user. Changes of
// the connection, and what the server denies, are logged, without what is secret
// in a URL. An error may be an *AccessError.
func Connect(o ConnectOptions) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.MaxReconnects(-1),
		nats.IgnoreAuthErrorAbort(), // else it gives up when a password is refused twice, as one is that is being changed
		nats.CustomInboxPrefix(o.inbox()),
		nats.ReconnectBufSize(-1), // else an acknowledgement would succeed while disconnected
		nats.ReconnectWait(reconnectWait),
		// A server that vanished without a word is noticed in half a minute, not in six.
		nats.PingInterval(10 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.Timeout(or(o.Timeout, 5*time.Second)),
		nats.RetryOnFailedConnect(o.RetryOnFailedConnect),
		nats.Name(o.Name),
	}
	opts = append(opts, o.handlers()...)
	if o.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(o.CredentialsFile))
	}
	if o.CAFile != "" {
		opts = append(opts, nats.RootCAs(o.CAFile))
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("connecting to NATS: a certificate file and a key file are needed, or neither")
	}
	if o.CertFile != "" {
		opts = append(opts, nats.ClientCert(o.CertFile, o.KeyFile))
	}
	address := or(o.URL, nats.DefaultURL)
	if err := checkSchemes(address); err != nil {
		return nil, fmt.Errorf("connecting to NATS: %w", err)
	}
	nc, err := nats.Connect(address, opts...)
	if err != nil {
		if _, bad := errors.AsType[*url.Error](err); bad { // its text shows parts of the URL
			err = errURL
		} else if refused := o.refusedBy(err); refused != nil {
			err = refused
		}
		return nil, fmt.Errorf("connecting to NATS at %s: %w", RedactURL(address), err)
	}
	return nc, nil
}

// handlers log what becomes of the connection, and pass refusals on.
func (o ConnectOptions) handlers() []nats.Option {
	log := or(o.Logger, slog.Default())
	var unreached, denials trouble // one does not hide the other
	return []nats.Option{
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // nil: this side closed it
				log.Warn("lost the connection to NATS; it is tried again for ever", "error", withoutSecrets(err.Error()))
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			log.Info("connected to NATS again", "server", RedactURL(nc.ConnectedUrl())) // nats.go's own leaves a token in it
		}),
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) {
			if refused := o.refusedBy(err); refused != nil {
				o.refused(log, &unreached, refused)
				return
			}
			unreached.warn(log, "NATS can't be reached; it is tried again for ever", "error", withoutSecrets(err.Error()))
		}),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			if refused := deniedBy(err); refused != nil {
				o.refused(log, &denials, refused)
				return
			}
			if refused := o.refusedBy(err); refused != nil { // a user that was accepted before
				o.refused(log, &unreached, refused)
				return
			}
			attrs := []any{"error", withoutSecrets(err.Error())}
			if sub != nil {
				attrs = append(attrs, "subject", sub.Subject)
			}
			log.Error("NATS", attrs...)
		}),
	}
}

// refused logs a refusal, and passes it on.
func (o ConnectOptions) refused(log *slog.Logger, often *trouble, e *AccessError) {
	if e.Operation == opConnect {
		often.warn(log, "the connection to NATS is refused; it is tried again for ever", "error", e.Err, "way_out", e.WayOut)
	} else {
		often.warn(log, "NATS denies what this program needs", "operation", e.Operation, "subject", family(e.Subject), "way_out", e.WayOut)
	}
	if o.Refused != nil {
		o.Refused(e)
	}
}

// RedactURL hides what is secret in one NATS URL, or several with commas: the
// password, or the token that stands in its place. A comma in a password makes
// it look like several URLs: then what comes before it is hidden too.
func RedactURL(urls string) string {
	list := strings.Split(urls, ",")
	goesOn := false // the piece after this one may be the rest of its password
	for i, s := range slices.Backward(list) {
		before, host, ok := cutLast(strings.TrimSpace(s), "@")
		scheme, _, hasScheme := strings.Cut(before, "://")
		if ok || goesOn {
			list[i] = "***"
			if !goesOn { // else what seems to be its host may be of the password, too
				list[i] += "@" + host
			}
			if hasScheme {
				list[i] = scheme + "://" + list[i]
			}
		}
		goesOn = (ok || goesOn) && !hasScheme
	}
	return strings.Join(list, ",")
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// withoutSecrets redacts what looks like a URL with user information.
func withoutSecrets(text string) string {
	words := strings.Split(text, " ")
	for i, w := range words {
		if strings.Contains(w, "@") {
			words[i] = RedactURL(w)
		}
	}
	return strings.Join(words, " ")
}

package auth

import (
	"cmp"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/limit"
)

// Options says how a [Service] behaves. Only ClientCAs has no default.
type Options struct {
	ClientCAs *x509.CertPool // who signs Business Partner certificates
	Sandbox   string         // the one SandboxId that tokens are issued for; "" counts as RETAIL

	ServiceLife    time.Duration // of a service token; 0 counts as two weeks
	AccessLife     time.Duration // of an access token; 0 counts as 8 h
	DelegationLife time.Duration // of a delegation token; 0 counts as 30 days

	// Quota is what each Business Partner certificate may do, at both endpoints together: xblsim.Window, xblsim.ParseQuota.
	// None: no limit. The service publishes 15 calls in 15 s and 50 in 300 s.
	Quota []limit.Window
	// InFlightGrace is how long after an answer with a Retry-After a call still counts as sent before it, and so not as inBlock.
	InFlightGrace time.Duration

	Skew    time.Duration // how far the time in a signature may be from the service's; 0 counts as 5 min
	MaxBody int           // how many bytes of a body are signed; 0 counts as 8192

	Latency time.Duration // from a call's arrival to its answer
	Faults  Faults        // may be changed later: SetFaults
	Logger  *slog.Logger  // one line per call at debug level, without tokens; nil: no log
}

// Validate reports the first option that makes no sense.
func (o Options) Validate() error {
	if o.ClientCAs == nil {
		return errors.New("client CAs: missing; nobody could authenticate")
	}
	for _, w := range o.Quota {
		if err := w.Validate(); err != nil {
			return err
		}
	}
	for _, d := range []struct {
		name string
		time time.Duration
	}{
		{"service life", o.ServiceLife},
		{"access life", o.AccessLife},
		{"delegation life", o.DelegationLife},
		{"in-flight grace", o.InFlightGrace},
		{"skew", o.Skew},
		{"latency", o.Latency},
	} {
		if d.time < 0 {
			return fmt.Errorf("%s: %s is below 0", d.name, d.time)
		}
	}
	if o.MaxBody < 0 {
		return fmt.Errorf("max body: %d is below 0", o.MaxBody)
	}
	return o.Faults.Validate()
}

// withDefaults fills in what is 0. The sample of Microsoft's Advanced Technology Group signs with the skew and the length below,
// where a service has not published others.
func (o Options) withDefaults() Options {
	const day = 24 * time.Hour
	o.Sandbox = cmp.Or(o.Sandbox, "RETAIL")
	o.ServiceLife = cmp.Or(o.ServiceLife, 14*day)
	o.AccessLife = cmp.Or(o.AccessLife, 8*time.Hour)
	o.DelegationLife = cmp.Or(o.DelegationLife, 30*day)
	o.Skew = cmp.Or(o.Skew, 5*time.Minute)
	o.MaxBody = cmp.Or(o.MaxBody, 8192)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

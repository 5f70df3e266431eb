package auth

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"time"

	"github.com/invitedhq/invited/xbl/xblsim/internal/wire"
)

// Faults says how the auth services fail. The zero value is services without faults.
type Faults struct {
	XErr    XErr            // every call that would get a token is refused with it; 0: none is
	Senders map[uint64]XErr // so is every call for the access token of one of these users, by XUID

	Unavailable bool          // every call is answered 503
	Throttle    bool          // every call is answered 429, whatever the quota
	RetryAfter  time.Duration // what these two ask for, rounded up to whole seconds; 0: no Retry-After
	SlowBy      time.Duration // answers come this much later

	// ClockOffset is added to the services' clock: their Date header, the times in tokens, and what the times of signatures and of
	// client certificates are compared with. The invite endpoints go by it too.
	ClockOffset time.Duration
}

// Validate reports the first thing in f that makes no sense.
func (f Faults) Validate() error {
	switch {
	case f.RetryAfter < 0:
		return fmt.Errorf("retryAfter: %s is below 0", f.RetryAfter)
	case f.SlowBy < 0:
		return fmt.Errorf("slowBy: %s is below 0", f.SlowBy)
	case f.Unavailable && f.Throttle:
		return errors.New("unavailable, throttle: an answer has one status; keep one of them")
	}
	for xuid, x := range f.Senders {
		if xuid == 0 || x == 0 {
			return errors.New("senders: each is an XUID and an XErr above 0")
		}
	}
	return nil
}

// faultsJSON is Faults in JSON: durations and XUIDs are strings.
type faultsJSON struct {
	XErr        XErr            `json:"xerr"`
	Senders     map[string]XErr `json:"senders"`
	Unavailable bool            `json:"unavailable"`
	Throttle    bool            `json:"throttle"`
	RetryAfter  string          `json:"retryAfter"`
	SlowBy      string          `json:"slowBy"`
	ClockOffset string          `json:"clockOffset"`
}

func newFaultsJSON(f Faults) faultsJSON {
	j := faultsJSON{
		XErr: f.XErr, Senders: make(map[string]XErr, len(f.Senders)), Unavailable: f.Unavailable, Throttle: f.Throttle,
		RetryAfter: f.RetryAfter.String(), SlowBy: f.SlowBy.String(), ClockOffset: f.ClockOffset.String(),
	}
	for xuid, x := range f.Senders {
		j.Senders[strconv.FormatUint(xuid, 10)] = x
	}
	return j
}

func (j faultsJSON) faults() (Faults, error) {
	f := Faults{XErr: j.XErr, Unavailable: j.Unavailable, Throttle: j.Throttle}
	var errs [3]error
	f.RetryAfter, errs[0] = wire.ParseDuration("retryAfter", j.RetryAfter)
	f.SlowBy, errs[1] = wire.ParseDuration("slowBy", j.SlowBy)
	f.ClockOffset, errs[2] = wire.ParseDuration("clockOffset", j.ClockOffset)
	if err := cmp.Or(errs[:]...); err != nil {
		return Faults{}, err
	}
	if len(j.Senders) > 0 {
		f.Senders = make(map[uint64]XErr, len(j.Senders))
	}
	for text, x := range j.Senders {
		xuid, err := wire.ParseXUID(text)
		if err != nil {
			return Faults{}, fmt.Errorf("senders: %w", err)
		}
		f.Senders[xuid] = x
	}
	return f, f.Validate()
}

// clone returns faults that nobody else can change.
func (f Faults) clone() Faults {
	f.Senders = maps.Clone(f.Senders)
	return f
}

package queue

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/go-json-experiment/json"
)

// CampaignTerms are what people want of a campaign while it is under way. The
// zero value lets it be sent at once, as fast as the quota allows.
type CampaignTerms struct {
	Paused    bool      `json:"paused,omitempty"`    // no new call is made
	Cancelled bool      `json:"cancelled,omitempty"` // what is unsent is dropped; for good
	StartAt   time.Time `json:"startAt,omitzero"`    // no call is made before, by the server's clock; zero: at once
	Rate      float64   `json:"rate,omitempty"`      // recipients per second at most, beside the quota; 0: no such limit
}

// Rates that can be kept: from one recipient in about three hours on.
const (
	MinCampaignRate = 0.0001
	MaxCampaignRate = 1_000_000
)

// ErrRate means that a rate can't be kept.
var ErrRate = fmt.Errorf("a rate is %g to %d recipients per second, or 0 for no limit", MinCampaignRate, MaxCampaignRate)

// Validate says whether a worker can keep them; the error is ErrRate.
func (t CampaignTerms) Validate() error {
	if t.Rate == 0 || t.Rate >= MinCampaignRate && t.Rate <= MaxCampaignRate && !math.IsNaN(t.Rate) {
		return nil
	}
	return ErrRate
}

// decodeTerms takes only what Organizer can have written: a campaign that
// somebody wanted to be stopped must not be sent because of a slip of the pen.
func decodeTerms(data []byte) (t CampaignTerms, err error) {
	if err := json.Unmarshal(data, &t, json.RejectUnknownMembers(true)); err != nil {
		return CampaignTerms{}, err
	}
	if t.Validate() != nil {
		return CampaignTerms{}, errors.New("its rate can't be kept")
	}
	return t, nil
}

// held says whether no call is to be made now.
func (t CampaignTerms) held(now time.Time) bool { return t.Paused || now.Before(t.StartAt) }

// with are the terms t with what a start asks for.
func (t CampaignTerms) with(c CampaignOrder) CampaignTerms {
	if !c.StartAt.IsZero() {
		t.StartAt = c.StartAt.UTC().Round(0)
	}
	if c.Rate != 0 {
		t.Rate = c.Rate
	}
	return t
}

package main

import (
	"math"
	"strconv"
	"strings"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/queue"
)

// rateUnit is what a rate may be per, in seconds.
type rateUnit struct {
	name    string
	seconds float64
}

func rateUnits() []rateUnit { return []rateUnit{{"s", 1}, {"m", 60}, {"h", 3600}} }

// parseRate reads recipients per second, minute or hour as recipients per second.
func parseRate(what, text string) (float64, error) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseFloat(number, 64)
	for _, u := range rateUnits() {
		if err != nil || u.name != unit || strings.Trim(number, "0123456789.") != "" || n == 0 {
			continue
		}
		if err := (queue.CampaignTerms{Rate: n / u.seconds}).Validate(); err != nil {
			return 0, cli.Usagef("%s: %s: %w", what, strconv.Quote(text), err)
		}
		return n / u.seconds, nil
	}
	return 0, cli.Usagef("%s: %s is no rate; give recipients per second, minute or hour: 5/s, 100/m or 2000/h", what, strconv.Quote(text))
}

// rateText writes a rate in the unit that it was most likely typed in: the first in which it has two decimals or none.
func rateText(perSecond float64) string {
	for _, u := range rateUnits() {
		n := perSecond * u.seconds
		if hundredths := math.Round(n * 100); hundredths > 0 && math.Abs(n*100-hundredths) < 1e-6*hundredths {
			return strconv.FormatFloat(hundredths/100, 'f', -1, 64) + "/" + u.name
		}
	}
	return strconv.FormatFloat(perSecond, 'g', 3, 64) + "/s"
}

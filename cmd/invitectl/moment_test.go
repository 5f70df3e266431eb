package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestATimeIsReadInTheReadersZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 10, 24, 18, 0, 0, 0, berlin) // the clocks go back in the night
	for text, want := range map[string]string{
		"now":                       "2026-10-24T18:00:00+02:00",
		"2026-12-24T18:00:00Z":      "2026-12-24T18:00:00Z",
		"2026-12-24T18:00:00-05:00": "2026-12-24T18:00:00-05:00",
		"2026-12-24 18:00":          "2026-12-24T18:00:00+01:00",
		"2026-12-24 18:00:30":       "2026-12-24T18:00:30+01:00",
		"2026-12-24T18:00":          "2026-12-24T18:00:00+01:00",
		"18:01":                     "2026-10-24T18:01:00+02:00",
		"18:00":                     "2026-10-25T18:00:00+01:00", // now is not to come; and it is 25 hours
		"6:30":                      "2026-10-25T06:30:00+01:00",
		"+2h":                       "2026-10-24T20:00:00+02:00",
		"+90m30s":                   "2026-10-24T19:30:30+02:00",
		"+0s":                       "2026-10-24T18:00:00+02:00",
	} {
		at, err := parseMoment("--at", text, momentForms, now)
		require.NoError(t, err, text)
		assert.Equal(t, want, at.Format(time.RFC3339), text)
	}
}

func TestSinceIsHowLongAgoOrATimeInTheReadersZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	require.NoError(t, err)
	now := time.Date(2026, 10, 25, 3, 10, 0, 0, berlin) // the clocks went back an hour in this night
	for text, want := range map[string]string{
		"90m":                  "2026-10-25T02:40:00+02:00",
		"0s":                   "2026-10-25T03:10:00+01:00",
		"03:10":                "2026-10-25T03:10:00+01:00",
		"03:11":                "2026-10-24T03:11:00+02:00", // of the day before
		"1:00":                 "2026-10-25T01:00:00+02:00",
		"2026-10-24 18:00":     "2026-10-24T18:00:00+02:00",
		"2026-10-24 18:00:30":  "2026-10-24T18:00:30+02:00",
		"2026-10-24T18:00:00Z": "2026-10-24T18:00:00Z",
	} {
		at, err := parseSince(text, now)
		require.NoError(t, err, text)
		assert.Equal(t, want, at.Format(time.RFC3339), text)
	}
	for _, text := range []string{"yesterday", "-90m", "+2h", "now", "24:00", "2026-10-24"} {
		_, err := parseSince(text, now)
		requireUsage(t, err)
		assert.Contains(t, err.Error(), pastForms, text)
	}
}

func TestWhatIsNoTimeIsToldWithTheForms(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	for _, text := range []string{
		"", "noon", "24:00", "18", "2h", "+", "+2", "-2h", "+-2h", "2026-12-24", "2026-13-24 18:00", "24.12.2026 18:00", "NOW", "18:00 ",
		"9999-12-31T23:59:59-23:59", "\x1b[31m", "+2540400h59m59s9223372036854775807ns",
	} {
		_, err := parseMoment("--at", text, momentForms, now)
		requireUsage(t, err)
		assert.Contains(t, err.Error(), "--at: ", text)
		assert.Contains(t, err.Error(), momentForms, text)
	}
}

func TestAStartIsNowOrToCome(t *testing.T) {
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	at, err := parseStart("now", now)
	require.NoError(t, err)
	assert.True(t, at.IsZero(), "at once")
	at, err = parseStart("09:00", now)
	require.NoError(t, err)
	assert.Equal(t, now.Add(time.Hour), at)
	_, err = parseStart("2026-11-22 07:59", now)
	requireUsage(t, err)
	assert.Contains(t, err.Error(), "has passed; --at now means at once")
}

func TestARateIsRecipientsPerSecondMinuteOrHour(t *testing.T) {
	for text, want := range map[string]float64{"5/s": 5, "0.5/s": 0.5, "100/m": 100.0 / 60, "2000/h": 2000.0 / 3600, "1/h": 1.0 / 3600, "1000000/s": 1e6} {
		got, err := parseRate("--rate", text)
		require.NoError(t, err, text)
		assert.InEpsilon(t, want, got, 1e-12, text)
		assert.Equal(t, text, rateText(got), "it is shown as it was typed")
	}
	for _, text := range []string{"", "5", "/s", "5/", "5/d", "5/sec", "0/s", "-1/s", "+1/s", "1e3/s", "NaN/s", "Inf/s", "0x5/s", "5 /s", "1.2.3/s", "none", "\x1b/s"} {
		_, err := parseRate("--rate", text)
		requireUsage(t, err)
		assert.Contains(t, err.Error(), "5/s, 100/m or 2000/h", text)
	}
	for _, text := range []string{"1000001/s", "0.1/h"} {
		_, err := parseRate("--rate", text)
		requireUsage(t, err)
		assert.Contains(t, err.Error(), "a rate is 0.0001 to 1000000 recipients per second", text)
	}
}

func TestAnyRateThatWasTypedIsShownAsWhatItIs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 1_000_000).Draw(t, "n")
		unit := rapid.SampledFrom(rateUnits()).Draw(t, "unit")
		rate, err := parseRate("--rate", fmt.Sprintf("%d/%s", n, unit.name))
		require.NoError(t, err)
		again, err := parseRate("--rate", rateText(rate))
		require.NoError(t, err, rateText(rate))
		require.InEpsilon(t, rate, again, 1e-6)
	})
}

func TestFigures(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 98_766: "98,766", 1_234_567: "1,234,567"} {
		assert.Equal(t, want, grouped(n))
	}
	for want, of := range map[string][2]int{"0.0 %": {0, 10}, "<0.1 %": {1, 100_000}, "12.3 %": {123, 1000}, ">99.9 %": {99_999, 100_000}, "100.0 %": {7, 7}} {
		assert.Equal(t, want, share(of[0], of[1]))
	}
	for want, d := range map[string]time.Duration{
		"0 ms": -time.Second, "68 ms": 68 * time.Millisecond, "59 s": 59*time.Second + 999*time.Millisecond, "1 m 05 s": 65 * time.Second,
		"10 h 21 m": 10*time.Hour + 21*time.Minute + 45*time.Second, "2 d 1 h": 49 * time.Hour,
	} {
		assert.Equal(t, want, span(d))
	}
}

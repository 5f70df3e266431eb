package main

import (
	"strconv"
	"strings"
	"time"

	"github.com/invitedhq/invited/cmd/internal/cli"
)

// What a time may be typed as.
const (
	momentForms = "2026-12-24T18:00:00Z, '2026-12-24 18:00', 18:00 (the next one) or +2h"
	startForms  = "now, " + momentForms
	pastForms   = "90m, 18:00 (the last one), '2026-11-22 08:00' or 2026-11-22T08:00:00Z"
)

// parseMoment reads a time as people type it: in the zone of now, unless it
// names one of its own.
func parseMoment(flag, text, forms string, now time.Time) (time.Time, error) {
	at, ok := momentOf(text, now)
	if ok {
		_, err := at.UTC().MarshalText() // jobs and records have it as JSON, which ends with the year 9999
		ok = err == nil
	}
	if !ok {
		return time.Time{}, cli.Usagef("%s: %s is no time; give one as %s", flag, strconv.Quote(text), forms)
	}
	return at, nil
}

func momentOf(text string, now time.Time) (time.Time, bool) {
	if text == "now" {
		return now, true
	}
	if later, ok := strings.CutPrefix(text, "+"); ok {
		d, err := time.ParseDuration(later)
		at := now.Add(d)
		if part := at.Sub(at.Truncate(time.Second)); part > 0 { // so that what is shown of it can be typed again
			at = at.Add(time.Second - part)
		}
		return at, err == nil && d >= 0
	}
	if clock, err := time.Parse("15:04", text); err == nil {
		return nextAt(clock.Hour(), clock.Minute(), now), true
	}
	return dateOf(text, now)
}

func dateOf(text string, now time.Time) (time.Time, bool) {
	for _, form := range []string{
		time.RFC3339, "2006-01-02 15:04", time.DateTime, "2006-01-02T15:04", "2006-01-02T15:04:05",
	} {
		if at, err := time.ParseInLocation(form, text, now.Location()); err == nil {
			return at, true
		}
	}
	return time.Time{}, false
}

// parseSince reads a time that has passed, or how long ago it was.
func parseSince(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 && text[0] != '+' { // +2h is to come, elsewhere
		return now.Add(-d), nil
	}
	if clock, err := time.Parse("15:04", text); err == nil {
		return lastAt(clock.Hour(), clock.Minute(), now), nil
	}
	if at, ok := dateOf(text, now); ok {
		if _, err := at.MarshalText(); err == nil { // the server reads it as JSON, which is stricter
			return at, nil
		}
	}
	return time.Time{}, cli.Usagef("--since: %s is neither a duration nor a time; give one as %s", strconv.Quote(text), pastForms)
}

// nextAt is when a clock on the wall shows this next, which can be more or less than a day.
func nextAt(hour, minute int, now time.Time) time.Time {
	at := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, now.Location())
	if !at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()+1, hour, minute, 0, 0, now.Location())
	}
	return at
}

// lastAt is when a clock on the wall showed this last, or shows it now.
func lastAt(hour, minute int, now time.Time) time.Time {
	at := time.Date(now.Year(), now.Month(), now.Day(), hour, minute, 0, 0, now.Location())
	if at.After(now) {
		at = time.Date(now.Year(), now.Month(), now.Day()-1, hour, minute, 0, 0, now.Location())
	}
	return at
}

// parseStart reads when a campaign is to start; zero: at once.
func parseStart(text string, now time.Time) (time.Time, error) {
	if text == "now" {
		return time.Time{}, nil
	}
	at, err := parseMoment("--at", text, startForms, now)
	if err == nil && at.Before(now) {
		return time.Time{}, cli.Usagef("--at: %s has passed; --at now means at once", text)
	}
	return at, err
}

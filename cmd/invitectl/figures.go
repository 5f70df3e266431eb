package main

import (
	"fmt"
	"strconv"
	"time"
)

// grouped writes a number so that thousands can be told from millions.
func grouped[N int | uint64](n N) string {
	text := strconv.FormatUint(uint64(max(n, 0)), 10) // nothing that is counted here is below 0
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func plural(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return grouped(n) + " " + what
}

// share is a part of a whole in per cent: 0 only where there is nothing of it, and 100 only where it is all.
func share(n, of int) string {
	switch p := 100 * float64(n) / float64(max(of, 1)); {
	case n > 0 && p < 0.1:
		return "<0.1 %"
	case n < of && p > 99.9:
		return ">99.9 %"
	default:
		return fmt.Sprintf("%.1f %%", p)
	}
}

// span writes a time to wait as a person says it: two units at most.
func span(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%d s", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%d m %02d s", d/time.Minute, d%time.Minute/time.Second)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %02d m", d/time.Hour, d%time.Hour/time.Minute)
	default:
		const day = 24 * time.Hour
		return fmt.Sprintf("%d d %d h", d/day, d%day/time.Hour)
	}
}

// when writes a time for people: in their zone, which it names.
func (t *tool) when(at time.Time) string { return at.In(t.zone).Format("2006-01-02 15:04:05 MST") }

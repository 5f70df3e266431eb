package limit

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Window is one limit of a quota: at most Max calls in Per. Both are above 0.
type Window struct {
	Max int
	Per time.Duration
}

// String returns the form that [Parse] reads, such as 7/15s.
func (w Window) String() string { return strconv.Itoa(w.Max) + "/" + w.Per.String() }

// Validate reports a window that allows nothing or lasts no time.
func (w Window) Validate() error {
	if w.Max < 1 {
		return fmt.Errorf("quota %s: at least 1 call must be allowed", w)
	}
	if w.Per <= 0 {
		return fmt.Errorf("quota %s: the time must be above 0", w)
	}
	return nil
}

// Parse reads windows written as calls/time and parted by commas, such as 7/15s,50/300s.
// An empty text means no quota.
func Parse(s string) ([]Window, error) {
	if strings.TrimSpace(s) == "" {
		return nil, nil
	}
	var quota []Window
	for part := range strings.SplitSeq(s, ",") {
		w, err := parseWindow(strings.TrimSpace(part))
		if err != nil {
			return nil, err
		}
		quota = append(quota, w)
	}
	return quota, nil
}

func parseWindow(s string) (Window, error) {
	calls, per, found := strings.Cut(s, "/")
	if !found {
		return Window{}, fmt.Errorf("quota %q: write calls/time, such as 7/15s", s)
	}
	n, err := strconv.Atoi(calls)
	if err != nil {
		return Window{}, fmt.Errorf("quota %q: %q is no number of calls; write calls/time, such as 7/15s", s, calls)
	}
	d, err := time.ParseDuration(per)
	if err != nil {
		return Window{}, fmt.Errorf("quota %q: %q is no time; write it with its unit, such as 15s or 5m", s, per)
	}
	w := Window{Max: n, Per: d}
	return w, w.Validate()
}

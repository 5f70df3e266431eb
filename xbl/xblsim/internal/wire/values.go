package wire

import (
	"fmt"
	"strconv"
	"time"
)

// ParseXUID reads a player's id as the API writes it: a decimal number above 0 that fits 64 bits, without sign
// and leading zeros.
func ParseXUID(s string) (uint64, error) {
	xuid, err := strconv.ParseUint(s, 10, 64)
	if err != nil || xuid == 0 || s[0] == '0' {
		return 0, fmt.Errorf("%.40q is no XUID: a decimal number above 0, of 64 bits, without leading zeros", s)
	}
	return xuid, nil
}

// ParseDuration reads a field of a control page. An empty text is 0.
func ParseDuration(field, s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%s: %.40q is no time; write it with its unit, such as 30s", field, s)
	}
	return d, nil
}

package queue

import (
	"errors"
	"strconv"
)

// XUID identifies a player: a decimal number from 1 to 18446744073709551615.
// In JSON it is a string, because many languages can't hold such numbers exactly.
// It is personal data: no log at info level or above, and no metric, carries one.
type XUID uint64

const xuidForm = "an XUID is a decimal number above 0 in a string"

var (
	errXUIDEmpty  = errors.New("is empty; " + xuidForm)
	errXUIDDigits = errors.New("is not all digits; " + xuidForm)
	errXUIDZero   = errors.New("has a leading zero; " + xuidForm)
	errXUIDRange  = errors.New("is above 18446744073709551615; " + xuidForm)
)

// ParseXUID reads the decimal form: digits only, above 0, no leading zeros.
// The error says what is wrong with s without repeating it.
func ParseXUID(s string) (XUID, error) { return parseXUID(s) }

// parseXUID works on bytes too, so that decoding a job makes no string per recipient.
func parseXUID[T ~string | ~[]byte](s T) (XUID, error) {
	switch {
	case len(s) == 0:
		return 0, errXUIDEmpty
	case len(s) > 20:
		return 0, longXUID(s)
	}
	var n uint64
	for i := range len(s) {
		digit := uint64(s[i]) - '0' // below '0' it wraps to a huge number
		if digit > 9 {
			return 0, errXUIDDigits
		}
		if n > (1<<64-1-digit)/10 {
			return 0, errXUIDRange
		}
		n = n*10 + digit
	}
	if s[0] == '0' {
		return 0, errXUIDZero
	}
	return XUID(n), nil
}

func longXUID[T ~string | ~[]byte](s T) error {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return errXUIDDigits
		}
	}
	if s[0] == '0' {
		return errXUIDZero
	}
	return errXUIDRange
}

// String is the decimal form.
func (x XUID) String() string { return strconv.FormatUint(uint64(x), 10) }

// MarshalText makes a XUID a string in JSON and YAML.
func (x XUID) MarshalText() ([]byte, error) { return strconv.AppendUint(nil, uint64(x), 10), nil }

// UnmarshalText is ParseXUID.
func (x *XUID) UnmarshalText(text []byte) error {
	v, err := parseXUID(text)
	if err != nil {
		return err
	}
	*x = v
	return nil
}

package cli

import (
	"strings"
	"unicode"
)

// Printable makes text of unknown origin safe to show at a terminal: control
// characters, which could move the cursor or change colours, and those that
// reverse the direction of what follows, become U+FFFD.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

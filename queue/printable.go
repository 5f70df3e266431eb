package queue

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDetail is the most bytes of Invite-Detail.
const maxDetail = 1024

// printable makes text safe for a header: valid UTF-8 on one line. A header
// with a line break in it would be read as two.
func printable(s string) string {
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, string(utf8.RuneError))))
}

// cut shortens s to at most n bytes without splitting a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	const mark = "…"
	if n < len(mark) {
		return ""
	}
	end := n - len(mark)
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + mark
}

package wire

import (
	"regexp"
	"strings"
	"unicode"
)

// maxWords bounds what is repeated of somebody else's words, in bytes.
const maxWords = 240

// tokenish is what looks like a token, a key or a part of one, and not like a word.
var tokenish = regexp.MustCompile(`[A-Za-z0-9_\-+/=.;]{32,}`)

const redacted = "[redacted]"

// Words makes words of others fit for an error: one line of at most 240 bytes, without control characters and without
// what looks like a token. Where they have 12 letters or digits in a row of one of the secrets, in pieces or not, they
// are left out as a whole.
func Words(s string, secrets ...string) string {
	const most = 4 << 10 // bounds the work
	if len(s) > most {
		s = s[:most]
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if repeats(s, secrets) {
		return redacted
	}
	s = tokenish.ReplaceAllString(s, redacted)
	if len(s) > maxWords {
		s = strings.ToValidUTF8(s[:maxWords], "") + "…"
	}
	return s
}

func repeats(s string, secrets []string) bool {
	const leak = 12
	s = squeeze(s)
	for _, secret := range secrets {
		secret = squeeze(secret)
		for i := 0; i+leak <= len(s); i++ {
			if strings.Contains(secret, s[i:i+leak]) {
				return true
			}
		}
	}
	return false
}

// squeeze leaves ASCII letters and digits.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return -1
	}, s)
}

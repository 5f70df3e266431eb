package xbl

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxDetail = 1 << 10
	maxCode   = 128
	// leak is how many bytes of a token in a row are taken for a part of it.
	leak = 16
)

// humanText makes text from outside fit for an error: one line of valid UTF-8 without control characters, no part of
// the token that the call was made with, at most limit bytes.
func humanText(s string, token Token, limit int) string {
	// Cut before the work below and once more after it: the first bounds the work, the second the result.
	s = truncate(s, 4*maxDetail)
	s = redact(oneLine(s), token)
	if repeatsInPieces(s, token) {
		return redacted + " (the answer repeats the token)"
	}
	return truncate(s, limit)
}

// oneLine replaces what a terminal or a log would interpret instead of show.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	return strings.Join(strings.Fields(s), " ")
}

// repeatsInPieces finds a token that was cut up, by line breaks or other signs.
func repeatsInPieces(s string, token Token) bool {
	secret := squeeze(strings.TrimPrefix(token.authorization(), scheme))
	s = squeeze(s)
	for i := 0; i+leak <= len(s); i++ {
		if strings.Contains(secret, s[i:i+leak]) {
			return true
		}
	}
	return false
}

// squeeze leaves ASCII letters and digits.
func squeeze(s string) string {
	return strings.Map(func(r rune) rune {
		if r < '0' || r > 'z' || r > '9' && r < 'A' || r > 'Z' && r < 'a' {
			return -1
		}
		return r
	}, s)
}

// redact removes the token wherever s repeats it, whole or in part, and whatever else looks like an Authorization value.
// A service that echoes a request in its answer must not put the token into a log or a dead letter.
func redact(s string, token Token) string {
	secret := strings.TrimPrefix(token.authorization(), scheme)
	hash, bare, _ := strings.Cut(strings.TrimPrefix(secret, "x="), ";")
	if len(bare) >= 4 {
		s = strings.ReplaceAll(s, bare, redacted)
	}
	if len(hash) >= 8 { // a shorter one may be a common word
		s = strings.ReplaceAll(s, hash, redacted)
	}
	return redactScheme(redactRuns(s, secret))
}

func redactRuns(s, secret string) string {
	var b strings.Builder
	rest := 0 // of s, not yet in b
	for i := 0; i+leak <= len(s); {
		end := i + leak
		if !strings.Contains(secret, s[i:end]) {
			i++
			continue
		}
		for end < len(s) && strings.Contains(secret, s[i:end+1]) {
			end++
		}
		b.WriteString(s[rest:i])
		b.WriteString(redacted)
		i, rest = end, end
	}
	if rest == 0 {
		return s
	}
	b.WriteString(s[rest:])
	return b.String()
}

func redactScheme(s string) string {
	before, after, found := strings.Cut(s, scheme)
	if !found {
		return s
	}
	var b strings.Builder
	for found {
		b.WriteString(before)
		b.WriteString(redacted)
		end := strings.IndexAny(after, " \"'<>")
		if end < 0 {
			return b.String()
		}
		before, after, found = strings.Cut(after[end:], scheme)
	}
	b.WriteString(before)
	return b.String()
}

// truncate cuts s to at most limit bytes, not inside a character.
func truncate(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	for limit > 0 && !utf8.RuneStart(s[limit]) {
		limit--
	}
	return s[:limit]
}

package wire_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"

	"github.com/invitedhq/invited/xbl/tokens/wire"
)

func TestWordsOfOthersAreOneBoundedLineWithoutASecret(t *testing.T) {
	const secret = "eyJhbGciOi.c2VjcmV0LXZhbHVl.aGVyZQ"
	assert.Equal(t, "it's not good [1m", wire.Words(" it's\r\nnot\x00good \x1b[1m"))
	assert.Equal(t, "no [redacted] here", wire.Words("no eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.abcdefgh here"), "what looks like a token")
	assert.Equal(t, "[redacted]", wire.Words("can't use "+secret[3:20], secret))
	assert.Equal(t, "[redacted]", wire.Words("can't use "+strings.Join(strings.Split(secret, ""), " "), secret), "in pieces")
	assert.LessOrEqual(t, len(wire.Words(strings.Repeat("ü ", 9999))), 250)
}

func FuzzWords(f *testing.F) {
	f.Add("the token c2VjcmV0LXZhbHVl is bad", "c2VjcmV0LXZhbHVlaGVyZQ")
	f.Add("\xff\xfe\r\n", "")
	f.Fuzz(func(t *testing.T, words, secret string) {
		got := wire.Words(words, secret)
		if !utf8.ValidString(got) || len(got) > 260 || strings.ContainsAny(got, "\r\n\x1b\x00") {
			t.Errorf("%q is no short line", got)
		}
		for i := 0; len(secret) >= 32 && i+32 <= len(secret); i++ {
			if piece := secret[i : i+32]; strings.Contains(got, piece) && !strings.ContainsAny(piece, " ") && isWordy(piece) {
				t.Errorf("%q has %q of the secret", got, piece)
			}
		}
	})
}

func isWordy(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

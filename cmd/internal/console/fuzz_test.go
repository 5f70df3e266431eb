package console

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
)

// shown fails where text can do anything but be read, or tells of a player.
func shown(t *testing.T, text string) {
	t.Helper()
	assert.True(t, utf8.ValidString(text))
	assert.NotRegexp(t, `[0-9]{11}`, text, "no number may be an XUID")
	assert.False(t, strings.ContainsFunc(text, func(r rune) bool {
		return unicode.IsControl(r) && r != '\n' || unicode.Is(unicode.Bidi_Control, r)
	}), "%q", text)
}

func FuzzHostileText(f *testing.F) {
	for _, seed := range []string{"", "user 2533274790395904", "a\x1b[31m\u202E\xff", `{"invitedUsers": ["12x"`, `"connectionString" : "s3cret`, "\r\n\u2028"} {
		f.Add([]byte(seed))
	}
	c := &Console{}
	f.Fuzz(func(t *testing.T, data []byte) {
		shown(t, c.text(string(data)))
		body := c.rawBody(data)
		shown(t, body)
		for _, name := range []string{"invitedUsers", "connectionString", "platform", "id", "expiresAt"} {
			body = strings.ReplaceAll(body, `"`+name+`"`, "")
		}
		assert.False(t, strings.ContainsFunc(body, func(r rune) bool { return r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r)) }),
			"of a body nothing but its structure is shown: %q", body)
	})
}

func FuzzAuthFile(f *testing.F) {
	f.Add("ada:$2y$05$abcdefghijklmnopqrstuv", "ada")
	f.Add("# nobody\n\n", "x")
	f.Add("a:b:c", "s3cret")
	f.Fuzz(func(t *testing.T, text, secret string) {
		digests, err := parseDigests("users", []byte(text))
		assert.Equal(t, err != nil, digests == nil)
		assert.NotContains(t, digests, "", "nobody is without a name")
		if err != nil && len(secret) > 40 && strings.Contains(text, secret) {
			assert.NotContains(t, err.Error(), secret, "what is wrong is not repeated")
		}
	})
}

package configs

import (
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"
)

// URL is one URL, or several with commas between them, that may carry a password or a
// token. It prints without them, wherever it is printed. Only Reveal returns the text.
//
// The zero value is no URL.
type URL struct {
	text Secret
}

// NewURL returns text as a URL. It checks nothing.
func NewURL(text string) URL { return URL{text: NewSecret(text)} }

// Reveal returns the text itself, with user, password and query: for connecting, not for showing.
func (u URL) Reveal() string { return u.text.Reveal() }

// IsZero says whether there is no URL.
func (u URL) IsZero() bool { return u.text.IsZero() }

// String returns the text with the user part and the query's values replaced by "[redacted]".
// Text that is no URL, or no list of them, is replaced as a whole, since nobody can say which part of
// it is secret: a comma in a password makes it look like two, of which the first seems fine.
func (u URL) String() string {
	if u.IsZero() {
		return ""
	}
	shown := strings.Split(u.Reveal(), ",")
	for i, one := range shown {
		masked, ok := maskURL(strings.TrimSpace(one))
		if !ok {
			return redacted
		}
		shown[i] = masked
	}
	return strings.Join(shown, ",")
}

func maskURL(text string) (string, bool) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Opaque != "" || parsed.Scheme == "" || parsed.Host == "" ||
		strings.Contains(parsed.Path+parsed.RawQuery+parsed.Fragment, "@") { // a / ? or # in a password ends what is read as the host
		return "", false
	}
	var b strings.Builder
	b.WriteString(parsed.Scheme + "://")
	if parsed.User != nil {
		b.WriteString(redacted + "@")
	}
	b.WriteString(parsed.Host + parsed.Path)
	if parsed.RawQuery != "" {
		b.WriteString("?" + redacted)
	}
	return b.String(), true
}

// Format writes String for every verb and flag.
func (u URL) Format(f fmt.State, _ rune) { io.WriteString(f, u.String()) } //nolint:errcheck // fmt ignores it as well

// MarshalText returns String, which covers JSON and YAML.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// LogValue returns String.
func (u URL) LogValue() slog.Value { return slog.StringValue(u.String()) }

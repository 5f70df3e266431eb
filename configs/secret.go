package configs

import (
	"fmt"
	"io"
	"log/slog"
)

// redacted stands wherever a secret would show.
const redacted = "[redacted]"

// Secret is text that must not be shown. Every fmt verb, JSON, YAML and slog print
// "[redacted]" in its place, or nothing where it is empty. Only Reveal returns the text.
//
// The zero value is the empty secret. Compare secrets by what they reveal: == compares identity.
type Secret struct {
	// A pointer, since fmt prints the unexported fields of other packages' structs
	// without asking any method: it finds an address there and not the text.
	text *string
}

// NewSecret returns text as a secret.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{text: &text}
}

// Reveal returns the text itself.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero says whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// String returns "[redacted]", or "" for the empty secret.
func (s Secret) String() string {
	if s.IsZero() {
		return ""
	}
	return redacted
}

// Format writes String for every verb and flag.
func (s Secret) Format(f fmt.State, _ rune) { io.WriteString(f, s.String()) } //nolint:errcheck // fmt ignores it as well

// MarshalText returns String, which covers JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// LogValue returns String.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

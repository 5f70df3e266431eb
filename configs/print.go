package configs

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// YAML returns the configuration as a file would say it, with every key, and with
// secrets masked. Apart from those it loads as the same configuration.
func (c Config) YAML() ([]byte, error) {
	text, err := yaml.MarshalWithOptions(c, printOptions()...)
	if err != nil {
		return nil, fmt.Errorf("configs: print: %w", err)
	}
	return text, nil
}

// String returns YAML.
func (c Config) String() string {
	text, err := c.YAML()
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// LogValue returns what YAML says, as nested values.
func (c Config) LogValue() slog.Value {
	text, err := c.YAML()
	if err != nil {
		return slog.StringValue(err.Error())
	}
	var sections map[string]any
	if err := yaml.Unmarshal(text, &sections); err != nil {
		return slog.StringValue(err.Error())
	}
	return slog.AnyValue(sections)
}

func printOptions() []yaml.EncodeOption {
	return []yaml.EncodeOption{
		yaml.CustomMarshaler(func(d time.Duration) ([]byte, error) { return yaml.Marshal(shortDuration(d)) }),
		yaml.CustomMarshaler(printText),
	}
}

var plainText = regexp.MustCompile(`^(\.?/)?[A-Za-z0-9]([A-Za-z0-9./_:-]*[A-Za-z0-9])?$`)

// printText quotes all but plain text itself: the library leaves some text without the
// quotes it needs, such as "? !". A JSON string is a YAML string as well.
func printText(text string) ([]byte, error) {
	if plainText.MatchString(text) {
		return yaml.Marshal(text) // quotes what would read as a number or bool
	}
	return json.Marshal(strings.ReplaceAll(text, "${", "$${"))
}

// MarshalYAML leaves out what the title inherits: an empty list would say "none known".
func (t Title) MarshalYAML() (any, error) {
	var keys yaml.MapSlice
	if t.Windows != nil {
		keys = append(keys, yaml.MapItem{Key: "windows", Value: t.Windows})
	}
	if t.MaxInFlight != nil {
		keys = append(keys, yaml.MapItem{Key: "max_in_flight", Value: *t.MaxInFlight})
	}
	return keys, nil
}

// shortDuration prints 5m where the standard library prints 5m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

package configs

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTheExampleFileHoldsEveryKeyAtItsDefault(t *testing.T) {
	const name = "invited.example.yaml"
	data, err := os.ReadFile(name)
	require.NoError(t, err)

	l := newLoader(name, func(string) (string, bool) { return "", false })
	config, err := l.load(data)
	require.NoError(t, err)
	assert.Equal(t, Default(), config)
	for _, path := range keysOf(reflect.TypeFor[Config](), "") {
		assert.Positive(t, l.places[path].Line, "%s has no line for %s", name, path)
	}
	for i, line := range strings.Split(string(data), "\n") {
		assert.LessOrEqual(t, len([]rune(line)), 130, "line %d", i+1)
	}
}

func keysOf(section reflect.Type, path string) (paths []string) {
	for field := range section.Fields() {
		key := join(path, field.Tag.Get("yaml"))
		paths = append(paths, key)
		if isSection(field.Type) {
			paths = append(paths, keysOf(field.Type, key)...)
		}
	}
	return paths
}

func TestASlipInAKeyFindsTheKeyThatWasMeant(t *testing.T) {
	known := []string{"max_in_flight", "interactive_ttl", "retry", "url", "level"}
	for slip, want := range map[string]string{
		"max_inflight": "max_in_flight", "Retry": "retry", "retrys": "retry", "levell": "level", "uri": "url",
		"x": "", "colour": "", strings.Repeat("retry", 1000): "", "": "",
	} {
		assert.Equal(t, want, nearest(slip, known), "for %q", slip)
	}
}

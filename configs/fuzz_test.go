package configs_test

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
)

func FuzzParse(f *testing.F) {
	example, err := os.ReadFile("invited.example.yaml")
	require.NoError(f, err)
	f.Add(example)
	for _, seed := range []string{
		"", "a", "- [", "log: {level: \"${T}\"}", "nats: {url: \"${T}\"}", "tokens: {static: {authorization: \"${T}\"}}",
		"quota: {titles: {\"${T}\": {windows: [{max: \"${T}\"}]}}}", "? a\n: b", "a: &a [*a]", "!!x", "%YAML 1.2\n---\n", "a: |\n b\n---\n...\n",
		"xbl: {timeout: !!int ${T}}", "\xff", "\t", "<<: *x", "a: !", "{", "'", "\"\\x", "- - -",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		config, warnings, err := configs.Parse("c.yaml", data, env("T", secret))
		shown := fmt.Sprint(config.Tokens, warnings)
		if err != nil {
			shown += err.Error()
			errs, ok := errors.AsType[configs.Errors](err)
			require.True(t, ok && len(errs) > 0, "an error is always of type Errors: %T", err)
			for _, one := range errs {
				require.NotEmpty(t, one.Message)
				require.True(t, one.Line > 0 && one.Column > 0 || one.Path != "" || len(data) > 1<<20, "an error names its place: %v", one)
			}
		}
		require.NotContains(t, shown, "eyJ-secret")
	})
}

// FuzzEnvironment: what a variable holds is text, never YAML and never expanded again; and neither what is wrong with it nor
// what is printed shows it.
func FuzzEnvironment(f *testing.F) {
	for _, value := range []string{
		"1234/", "12/3#", "", " ", "\n", "a: b", "*x", "${T}", "$${T}", "\"", "'", "\x00", "\xff", "XBL3.0 x=1;a", "nats://h", "nats://u:p@h", "@h", ",", "1234,5678", "%zz", "debug", "#",
	} {
		f.Add(value, "")
		f.Add("", value)
		f.Add("https://a.example/", value)
		f.Add("nats://a,nats://u:", value+"@b")
	}
	const marker = "4815162342"
	f.Fuzz(func(t *testing.T, before, after string) {
		value := before + marker + after
		for _, text := range []string{
			`tokens: {static: {authorization: "${T}"}}`, `nats: {url: "${T}"}`, `nats: {url: "nats://u:${T}@h:4222"}`, `log: {level: "${T}"}`,
			`xbl: {base_url: "${T}", timeout: "${T}"}`, `quota: {windows: [{max: "${T}", per: "${T}"}]}`, `tokens: {source: "${T}", file: {dir: "${T}"}}`,
			`admin: {listen: "${T}"}`,
		} {
			config, warnings, err := configs.Parse("c.yaml", []byte(text), env("T", value))
			require.NotContains(t, fmt.Sprint(warnings, err), marker, "%s", text)
			if err != nil {
				continue
			}
			switch {
			case strings.Contains(text, "authorization"):
				require.Equal(t, strings.TrimSpace(value), config.Tokens.Static.Authorization.Reveal())
				require.NotContains(t, fmt.Sprintf("%+v", config), marker)
			case strings.Contains(text, "u:$") && !strings.Contains(value, "://"):
				require.NotContains(t, fmt.Sprintf("%+v", config), marker)
				printed, err := config.YAML()
				require.NoError(t, err)
				require.NotContains(t, string(printed), marker)
			}
		}
		for _, name := range []string{"INVITED_NATS_URL", "INVITED_XBL_BASE_URL", "INVITED_ADMIN_LISTEN", "INVITED_LOG_LEVEL", "XBL_AUTHORIZATION"} {
			_, warnings, err := configs.Parse("c.yaml", nil, env(name, value))
			require.NotContains(t, fmt.Sprint(warnings, err), marker, name)
		}
	})
}

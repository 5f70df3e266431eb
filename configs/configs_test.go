package configs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/invitedhq/invited/configs"
)

const secret = "XBL3.0 x=11;eyJ-secret"

// env is an environment; one key and value after the other.
func env(pairs ...string) configs.Getenv {
	vars := map[string]string{}
	for i := 0; i < len(pairs); i += 2 {
		vars[pairs[i]] = pairs[i+1]
	}
	return func(name string) (string, bool) {
		value, set := vars[name]
		return value, set
	}
}

func parse(t *testing.T, text string, pairs ...string) (configs.Config, configs.Warnings) {
	t.Helper()
	config, warnings, err := configs.Parse("c.yaml", []byte(text), env(pairs...))
	require.NoError(t, err)
	return config, warnings
}

func refuse(t *testing.T, text string, pairs ...string) configs.Errors {
	t.Helper()
	config, _, err := configs.Parse("c.yaml", []byte(text), env(pairs...))
	var errs configs.Errors
	require.ErrorAs(t, err, &errs)
	require.Equal(t, configs.Config{}, config, "a refused file must not yield a configuration that somebody could run with")
	return errs
}

func TestNoFileMeansDefaults(t *testing.T) {
	for _, text := range []string{"", "\n", "# nothing\n", "---\n", "{}", "\uFEFF", "nats:\nxbl: {}\nquota: {titles: }\n"} {
		config, _ := parse(t, text)
		assert.Equal(t, configs.Default(), config, "of %q", text)
	}
	config, warnings, err := configs.Load("", env("XBL_AUTHORIZATION", secret))
	require.NoError(t, err)
	assert.Empty(t, warnings)
	assert.Equal(t, secret, config.Tokens.Static.Authorization.Reveal(), "the default authorization is that variable")
}

func TestNobodyElseReachesAListenerByDefault(t *testing.T) {
	config, _ := parse(t, "{}")
	for _, address := range []string{config.Admin.Listen, config.NATS.Embedded.Listen} {
		host, _, err := net.SplitHostPort(address)
		require.NoError(t, err)
		assert.True(t, net.ParseIP(host).IsLoopback(), address)
	}
}

func TestEveryKindOfValueIsRead(t *testing.T) {
	config, _ := parse(t, "\uFEFF"+`
nats: {url: "nats://a:4222, nats://b:4222", replicas: 3, embedded: {sync: interval}}
xbl:
  base_url: http://[::1]:8080/x
  audience: server
  timeout: "1m30s"
tokens: {source: file, file: {dir: /run/tokens}, s2s: {sandbox: 0123}}
quota:
  windows: &standard
    - max: 1
      per: 1s
  interactive_reserve: 0
  titles:
    0: {windows: []}
    "17": {max_in_flight: 9}
    18: {windows: *standard}
    19:
admin: {actions: true, listen: ":9464", auth_file: users}
log: {level: 'debug', format: json}
`)
	nine := 9
	assert.Equal(t, "nats://a:4222, nats://b:4222", config.NATS.URL.Reveal())
	assert.Equal(t, 3, config.NATS.Replicas)
	assert.Equal(t, configs.SyncInterval, config.NATS.Embedded.Sync)
	assert.Equal(t, "127.0.0.1:4222", config.NATS.Embedded.Listen, "neighbours of a key that is set keep their defaults")
	assert.Equal(t, 90*time.Second, config.XBL.Timeout)
	assert.Equal(t, "0123", config.Tokens.S2S.Sandbox, "the key decides the type, not YAML's guess")
	one := []configs.Window{{Max: 1, Per: time.Second}}
	assert.Equal(t, map[uint32]configs.Title{
		0: {Windows: []configs.Window{}}, 17: {MaxInFlight: &nine}, 18: {Windows: one}, 19: {},
	}, config.Quota.Titles)
	assert.Zero(t, config.Quota.InteractiveReserve)
	assert.True(t, config.Admin.Actions)
	assert.Equal(t, configs.Log{Level: configs.LevelDebug, Format: configs.FormatJSON}, config.Log)
}

func TestATitleInheritsWhatItDoesNotSet(t *testing.T) {
	config, _ := parse(t, "quota: {titles: {1: {windows: []}, 2: {max_in_flight: 9}}}")
	standard := configs.Default().Quota
	for id, want := range map[uint32]struct {
		windows     []configs.Window
		maxInFlight int
	}{
		1: {[]configs.Window{}, standard.MaxInFlight},
		2: {standard.Windows, 9},
		3: {standard.Windows, standard.MaxInFlight},
	} {
		windows, maxInFlight := config.Quota.For(id)
		assert.Equal(t, want.windows, windows, "windows of title %d", id)
		assert.Equal(t, want.maxInFlight, maxInFlight, "max_in_flight of title %d", id)
	}
}

func TestEveryMistakeIsNamedWithItsPlace(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown section", "qouta: {}", `c.yaml:1:1: unknown key "qouta": did you mean quota? Known here: nats,`},
		{"unknown key", "nats:\n  replica: 1", `c.yaml:2:3: nats: unknown key "replica": did you mean replicas?`},
		{"unknown key like none", "log: {colour: red}", `c.yaml:1:7: log: unknown key "colour". Known here: level, format`},
		{"repeated key", "log:\n  level: info\n  level: warn",
			`c.yaml:3:3: log: the key "level" stands twice in one mapping, first in line 2`},
		{"repeated title", "quota: {titles: {5: {}, \"5\": {}}}", `c.yaml:1:25: quota.titles: the key "5" stands twice`},
		{"tab", "log:\n\tlevel: info", "c.yaml:2:1: this is no YAML: a tab can't indent"},
		{"open quote", "log: {level: \"info", "c.yaml:1:14: this is no YAML: could not find end"},
		{"colon in a value", "log: a: b", "c.yaml:1:6: this is no YAML: mapping value is not allowed"},
		{"variable in braces", "log: {level: ${L}}",
			`this is no YAML: ',' or '}' must be specified (inside { } and [ ] a value such as ${NAME} needs quotes`},
		{"second document", "log: {}\n---\nlog: {}", "c.yaml:3:1: a second YAML document starts here"},
		{"no mapping", "- 1", "c.yaml:1:1: must be a mapping"},
		{"text for all", "hello", "c.yaml:1:1: must be a mapping"},
		{"no UTF-8", "log:\n  level: \xff", "c.yaml:2:10: the text is no UTF-8"},
		{"control character", "log: \x00", "c.yaml:1:6: control character U+0000"},
		{"too large", strings.Repeat("#\n", 1<<19) + "#", "c.yaml: the file is larger than 1 MiB"},
		{"nested brackets", strings.Repeat("[", 1<<19), "c.yaml:1:65: nested more than 64 deep"},
		{"nested lists", strings.Repeat("- ", 1<<18), "c.yaml:1:129: nested more than 64 deep"},
		{"too many values", strings.Repeat("a: \n", 60_000), "the file holds too many values"},
		{"merge key", "log: {<<: {}}", "c.yaml:1:7: log: merge keys (<<) are not supported"},
		{"tag", "log: {level: !!str info}", "c.yaml:1:14: log.level: tags are not supported"},
		{"alias of nothing", "log: {level: *x}", "c.yaml:1:14: log.level: this alias has no anchor"},
		{"alias of itself", "quota: {windows: &a [*a]}", "c.yaml:1:21: quota.windows[0]: must be a mapping"},
		{"list as a key", "? [a]\n: b", "c.yaml:2:1: this is no YAML"},
		{"nothing as a key", "log: {~: b}", "c.yaml:1:7: log: a key must be plain text"},
		{"alias as a key", "*a : b", "c.yaml:1:1: a key must be plain text"},
		{"list as a section", "nats: []", "c.yaml:1:7: nats: must be a mapping"},
		{"mapping as text", "log: {level: {}}", "c.yaml:1:14: log.level: must be one line of text"},
		{"mapping as list", "quota: {windows: {}}", "c.yaml:1:18: quota.windows: must be a list"},
		{"text without value", "nats:\n  url:\n", `c.yaml:2:3: nats.url: the key has no value: write one ("" for empty text)`},
		{"list without value", "quota:\n  windows: ~\n",
			"c.yaml:2:3: quota.windows: the key has no value: write one ([] for an empty list)"},
		{"no number", "nats: {replicas: three}",
			`c.yaml:1:18: nats.replicas: must be a whole number in decimal digits, not "three"`},
		{"no whole number", "nats: {replicas: 1.5}", `must be a whole number in decimal digits, not "1.5"`},
		{"hexadecimal", "nats: {partitions: 0x10}", `must be a whole number in decimal digits, not "0x10"`},
		{"no bool", "admin: {actions: yes}", `c.yaml:1:18: admin.actions: must be true or false, not "yes"`},
		{"no unit", "xbl: {timeout: 10}",
			`c.yaml:1:16: xbl.timeout: must be a duration with its unit, such as 500ms, 15s or 5m, not "10"`},
		{"NaN", "quota: {interactive_reserve: .nan}", "c.yaml:1:30: quota.interactive_reserve: must be"},
		{"replicas", "nats: {replicas: 6}", "c.yaml:1:18: nats.replicas: must be from 1 to 5, not 6"},
		{"replicas of one server", "nats: {replicas: 3}", "c.yaml:1:18: nats.replicas: must be 1 with the embedded server"},
		{"partitions", "nats: {partitions: 0}", "must be from 1 to 512, not 0"},
		{"NATS scheme", "nats: {url: \"nats://a, http://b\"}", "c.yaml:1:13: nats.url: server 2 of 2 is no NATS URL"},
		{"NATS mixture", "nats: {url: \"nats://a,wss://b\"}", "can't be mixed"},
		{"half a key pair", "nats: {tls: {key_file: k}}", "c.yaml:1:24: nats.tls.key_file: cert_file and key_file come together"},
		{"embedded listen", "nats: {embedded: {listen: localhost}}", `c.yaml:1:27: nats.embedded.listen: must be host:port`},
		{"port", "admin: {listen: \"a:70000\"}", `the port must be a number from 0 (any free one) to 65535, not "70000"`},
		{"no listen", "admin: {listen: \"\"}", "c.yaml:1:17: admin.listen: must be host:port"},
		{"actions for everybody", "admin: {listen: \"0.0.0.0:9464\", actions: true}",
			"c.yaml:1:42: admin.actions: lets everybody who reaches 0.0.0.0:9464 change things: name a file in admin.auth_file"},
		{"no data folder", "nats: {embedded: {data_dir: \"\"}}", "must name a folder"},
		{"sync", "nats: {embedded: {sync: never}}", `must be one of always, interval, not "never"`},
		{"base URL in the clear", "xbl: {base_url: \"http://10.0.0.1\"}", "c.yaml:1:17: xbl.base_url: must be an https:// URL"},
		{"base URL that begins like loopback", "xbl: {base_url: \"http://localhost.example\"}", "must be an https:// URL"},
		{"base URL with a query", "xbl: {base_url: \"https://a/?\"}", "must not have a query"},
		{"base URL with a fragment", "xbl: {base_url: \"https://a/#\"}", "must not have a query or fragment"},
		{"base URL with a user", "xbl: {base_url: \"https://u@a\"}", "must not hold a user"},
		{"audience", "xbl: {audience: all}", `must be one of client, server, not "all"`},
		{"timeout", "xbl: {timeout: 99ms}", "must be from 100ms to 5m, not 99ms"},
		{"ambiguous", "xbl: {on_ambiguous: drop}", `must be one of retry, dead_letter, not "drop"`},
		{"believed delay", "xbl: {max_retry_after: 169h}", "must be from 1s to 168h, not 169h"},
		{"token source", "tokens: {source: vault}", "c.yaml:1:18: tokens.source: must be one of static, file, http, s2s"},
		{"token source http", "tokens: {source: http}", "c.yaml:1:18: tokens.source: the source http needs tokens.http.url"},
		{"broker in the clear", "tokens: {source: http, http: {url: \"http://tokens.example/{sender}\"}}", "c.yaml:1:36: tokens.http.url: http:// would send"},
		{"half a certificate", "tokens: {source: http, http: {url: \"https://a\", key_file: k}}", "tokens.http.key_file: cert_file and key_file come together"},
		{"broker's timeout", "tokens: {http: {timeout: 2m}}", "tokens.http.timeout: must be from 100ms to 1m"},
		{"token source s2s", "tokens: {source: s2s}", "c.yaml:1:18: tokens.source: the source s2s needs tokens.s2s.certificate_file and key_file"},
		{"auth service in the clear", "tokens: {source: s2s, s2s: {certificate_file: c, key_file: k, xsts_url: \"http://a\"}}", "tokens.s2s.xsts_url: http:// would send"},
		{"half a window", "tokens: {s2s: {limits: [{max: 7}]}}", "tokens.s2s.limits[0].per: the window has no per"},
		{"no token folder", "tokens: {source: file}", "c.yaml:1:18: tokens.source: the source file needs tokens.file.dir"},
		{"token of two lines", "tokens: {static: {authorization: \"a\\nb\"}}", "tokens.static.authorization: must be one line"},
		{"17 windows", "quota: {windows: [" + strings.Repeat("{},", 17) + "]}",
			"c.yaml:1:67: quota.windows: has 17 entries, at most 16 are allowed"},
		{"window of none", "quota: {windows: [{max: 0, per: 1s}]}",
			"c.yaml:1:25: quota.windows[0].max: must be from 1 to 1000000, not 0"},
		{"window of no time", "quota: {windows: [{max: 1, per: 0s}]}",
			"c.yaml:1:33: quota.windows[0].per: must be from 1ms to 24h, not 0s"},
		{"half a window", "quota:\n  windows:\n  - max: 7", "c.yaml:3:5: quota.windows[0].per: the window has no per"},
		{"window of a title", "quota: {titles: {5: {windows: [{max: 1, per: 25h}]}}}",
			"c.yaml:1:46: quota.titles.5.windows[0].per: must be from"},
		{"calls of a title", "quota: {titles: {5: {max_in_flight: 0}}}",
			"c.yaml:1:37: quota.titles.5.max_in_flight: must be from 1 to 1024, not 0"},
		{"calls of a key", "quota: {max_in_flight: 1025}", "must be from 1 to 1024, not 1025"},
		{"reserve", "quota: {interactive_reserve: 0.95}", "must be from 0 to 0.9, not 0.95"},
		{"title with zeros", "quota: {titles: {007: {}}}", `c.yaml:1:18: quota.titles: the key "007" is no titleId`},
		{"title too large", "quota: {titles: {4294967296: {}}}", `the key "4294967296" is no titleId`},
		{"title with a sign", "quota: {titles: {+7: {}}}", "is no titleId"},
		{"calls of a worker", "dispatch: {max_in_flight: 65537}", "must be from 1 to 65536, not 65537"},
		{"interactive_ttl", "dispatch: {interactive_ttl: 0s}", "must be from 1ms to 24h, not 0s"},
		{"retry order", "dispatch: {retry: {initial: 61s}}",
			"c.yaml:1:29: dispatch.retry.initial: dispatch.retry.initial must not be longer than"},
		{"attempts", "dispatch: {retry: {max_attempts: 0}}", "must be from 1 to 1000, not 0"},
		{"grace", "dispatch: {shutdown_grace: -1s}", "must be from 0s to 10m, not -1s"},
		{"level", "log: {level: loud}", `must be one of debug, info, warn, error, not "loud"`},
		{"format", "log: {format: xml}", `must be one of text, json, not "xml"`},
		{"broken variable", "log: {level: \"${LEVEL\"}", "c.yaml:1:14: log.level: broken ${…}"},
		{"variable with a default", "log: {level: \"${L:-info}\"}", "broken ${…}"},
		{"after CRLF and wide characters", "# ü\r\nlog: {level: info} # ü\r\n\r\nxbl: {base_url: 'https://ü', audience: x}",
			"c.yaml:4:40: xbl.audience"},
	} {
		t.Run(test.name, func(t *testing.T) {
			errs := refuse(t, test.text)
			assert.Contains(t, errs[0].Error(), test.want)
			assert.NotContains(t, errs.Error(), "\n", "one mistake is named once")
		})
	}
}

func TestAllMistakesAreNamedInTheOrderOfTheFile(t *testing.T) {
	errs := refuse(t, "log: {level: a}\nxbl:\n  timeout: b\n  audience: c\nnats: {replicas: d}\n", "INVITED_ADMIN_LISTEN", "e")
	var places []string
	for _, err := range errs {
		places = append(places, err.Place.String()+" "+err.Path)
	}
	assert.Equal(t, []string{
		"c.yaml:1:14 log.level", "c.yaml:3:12 xbl.timeout", "c.yaml:4:13 xbl.audience", "c.yaml:5:18 nats.replicas",
		"environment variable INVITED_ADMIN_LISTEN admin.listen",
	}, places)
}

func TestTheEnvironmentWinsOverTheFile(t *testing.T) {
	config, _ := parse(t, "nats: {url: nats://file}\nlog: {level: warn}",
		"INVITED_NATS_URL", "nats://env", "INVITED_XBL_BASE_URL", "https://env", "INVITED_ADMIN_LISTEN", "127.0.0.1:1", "INVITED_LOG_LEVEL", "")
	assert.Equal(t, "nats://env", config.NATS.URL.Reveal())
	assert.Equal(t, "https://env", config.XBL.BaseURL)
	assert.Equal(t, "127.0.0.1:1", config.Admin.Listen)
	assert.Equal(t, configs.LevelWarn, config.Log.Level, "an empty variable is as if it were not set")

	errs := refuse(t, "log: {level: warn}", "INVITED_LOG_LEVEL", "loud")
	assert.EqualError(t, errs, "environment variable INVITED_LOG_LEVEL: log.level: must be one of debug, info, warn, error")
}

func TestVariablesAreExpandedAfterParsing(t *testing.T) {
	config, warnings := parse(t, `
nats: {partitions: "${N}", credentials_file: '${DIR}/${FILE}', url: nats://x}
tokens:
  static:
    authorization: |
      ${TOKEN}
admin: {auth_file: "${INJECT}"}
xbl: {base_url: https://x} # ${COMMENT}
`, "N", "32", "DIR", "/etc", "TOKEN", secret, "INJECT", "x\nactions: true ${N}")
	assert.Equal(t, 32, config.NATS.Partitions)
	assert.Equal(t, "/etc/", config.NATS.CredentialsFile)
	assert.Equal(t, secret, config.Tokens.Static.Authorization.Reveal(), "the line break of a block is no part of a header")
	assert.Equal(t, "x\nactions: true ${N}", config.Admin.AuthFile, "a variable's value is neither YAML nor expanded again")
	require.Len(t, warnings, 1)
	assert.Equal(t, "c.yaml:2:46: nats.credentials_file: the environment variable FILE is not set, so it counts as empty", warnings[0].String())

	config, _ = parse(t, `nats: {embedded: {data_dir: "$${N} $N $$"}}`, "N", "32")
	assert.Equal(t, "${N} $N $$", config.NATS.Embedded.DataDir)
}

func TestAnUnsetVariableDoesNotStartAnEmptyQueueOfItsOwn(t *testing.T) {
	_, _, err := configs.Parse("c.yaml", []byte("nats:\n  url: \"${NATS}\"\n"), env())
	require.Error(t, err)
	assert.Contains(t, err.Error(), "c.yaml:2:8: nats.url: the environment variable NATS is not set")
}

func TestATokenByAnAliasIsNotShown(t *testing.T) {
	_, _, err := configs.Parse("c.yaml", []byte("tokens: {static: {authorization: &t \"XBL3.0 x=h;s3cret\"}}\nlog: {level: *t}\n"), env())
	require.Error(t, err)
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestWarnings(t *testing.T) {
	const token = "tokens: {static: {authorization: x}}\n"
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"none", token, nil},
		{"no token", "", []string{"default: tokens.static.authorization: there is no token, so jobs wait"}},
		{"variable of the token not set", `tokens: {static: {authorization: "${T}"}}`,
			[]string{"c.yaml:1:34: tokens.static.authorization: there is no token"}},
		{"token not used", `tokens: {source: file, file: {dir: d}, static: {authorization: "${T}"}}`, nil},
		{"admin for all", token + "admin: {listen: \":9464\"}", []string{"c.yaml:2:17: admin.listen: other machines can reach"}},
		{"NATS for all", token + "nats: {embedded: {listen: 0.0.0.0:4222}}", []string{"c.yaml:2:27: nats.embedded.listen: other"}},
		{"NATS for all, not used", token + "nats: {url: nats://a, embedded: {listen: 0.0.0.0:4222}}", nil},
		{"even replicas", token + "nats: {url: nats://a, replicas: 2}", []string{"c.yaml:2:33: nats.replicas: an even number"}},

		{"credentials for nothing", token + "nats: {credentials_file: c}", []string{"c.yaml:2:26: nats.credentials_file: is not used"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, warnings := parse(t, test.text)
			require.Len(t, warnings, len(test.want), "%v", warnings)
			for i, want := range test.want {
				assert.Contains(t, warnings[i].String(), want)
			}
		})
	}
}

func TestALiteralSecretInAFileThatAllCanReadIsWarnedOf(t *testing.T) {
	for _, test := range []struct {
		name, text string
		mode       fs.FileMode
		warned     bool
	}{
		{"token for all", "tokens: {static: {authorization: a}}", 0o644, true},
		{"token for one", "tokens: {static: {authorization: a}}", 0o600, false},
		{"variable for all", `tokens: {static: {authorization: "${XBL_AUTHORIZATION}"}}`, 0o644, false},
		{"password for all", "nats: {url: \"nats://u:p@h\"}", 0o644, true},
		{"URL for all", "nats: {url: \"nats://h\"}", 0o644, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.yaml")
			require.NoError(t, os.WriteFile(path, []byte(test.text), test.mode))
			require.NoError(t, os.Chmod(path, test.mode), "whatever the umask")
			_, warnings, err := configs.Load(path, env("XBL_AUTHORIZATION", secret))
			require.NoError(t, err)
			assert.Equal(t, test.warned, strings.Contains(fmt.Sprint(warnings), "every user of this machine"), "%v", warnings)
		})
	}
}

func TestTheAdminAddressIsReadWhateverElseIsWrong(t *testing.T) {
	for name, test := range map[string]struct {
		text, want, fails string
		env               []string
	}{
		"of the file":                 {text: "admin: {listen: \"0.0.0.0:1\"}", want: "0.0.0.0:1"},
		"the default":                 {text: "nats: {url: \"nats://h\"}", want: "127.0.0.1:9464"},
		"the environment wins":        {text: "admin: {listen: \"0.0.0.0:1\"}", env: []string{"INVITED_ADMIN_LISTEN", "[::]:2"}, want: "[::]:2"},
		"a mistake somewhere else":    {text: "quota: 5\nlog: {levell: x}\nadmin: {listen: \"h:1\"}", want: "h:1"},
		"another one beside it":       {text: "admin: {listen: \"h:1\", actions: 7}", want: "h:1"},
		"a mistake in it":             {text: "admin: {listen: \"9464\"}", fails: "c.yaml:1:17: admin.listen: must be host:port"},
		"a mistake around it":         {text: "admin: 9464", fails: "c.yaml:1:8: admin:"},
		"a file that is no section":   {text: "- 1", fails: "c.yaml:1:"},
		"a file that is no YAML":      {text: "admin: {listen: \"h:1\"", fails: "c.yaml:1:"},
		"nonsense in the environment": {env: []string{"INVITED_ADMIN_LISTEN", "x"}, fails: "environment variable INVITED_ADMIN_LISTEN: admin.listen:"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "c.yaml")
			require.NoError(t, os.WriteFile(path, []byte(test.text), 0o600))
			address, err := configs.AdminListen(path, env(test.env...))
			assert.Equal(t, test.want, address)
			if test.fails != "" {
				assert.ErrorContains(t, err, test.fails)
			} else {
				assert.NoError(t, err)
			}
		})
	}
	address, err := configs.AdminListen("", env())
	require.NoError(t, err)
	assert.Equal(t, "127.0.0.1:9464", address, "without a file")
	_, err = configs.AdminListen(filepath.Join(t.TempDir(), "none.yaml"), env())
	assert.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAFileThatCannotBeReadIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none.yaml")
	_, _, err := configs.Load(path, env())
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.EqualError(t, err, path+": the file can't be read: no such file or directory")

	_, _, err = configs.Load(t.TempDir(), env())
	require.ErrorContains(t, err, "the file can't be read: is a directory")
	first, ok := errors.AsType[*configs.Error](err)
	require.True(t, ok, "errors.As finds the first problem")
	assert.Zero(t, first.Line)
}

// holder keeps a configuration where fmt can't call its methods.
type holder struct{ config configs.Config }

func TestNoFormShowsASecret(t *testing.T) {
	config, _ := parse(t, `
nats: {url: "nats://user:hunter2@a:4222,nats://hunter2@b"}
tokens: {static: {authorization: "${T}"}, http: {url: "https://u:hunter2@x/?code=hunter2"}}`, "T", "XBL3.0 x=1;hunter2")
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%10.3s"} {
		for _, value := range []any{
			config, &config, config.NATS, config.NATS.URL, config.Tokens, config.Tokens.Static.Authorization,
			&config.Tokens.Static.Authorization, holder{config}, &holder{config}, []any{config},
		} {
			shown := fmt.Sprintf(verb, value)
			assert.NotContains(t, shown, "hunter2", "%s of %T", verb, value)
			assert.NotContains(t, strings.ToLower(shown), fmt.Sprintf("%x", "hunter2"), "%s of %T", verb, value)
		}
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		assert.Equal(t, "[redacted]", fmt.Sprintf(verb, configs.NewSecret("hunter2")), verb)
		assert.Equal(t, "[redacted]", fmt.Sprintf(verb, configs.NewURL("hunter2:4222/[")), "%s of what is no URL", verb)
	}
	var out bytes.Buffer
	slog.New(slog.NewJSONHandler(&out, nil)).Info("start", "config", config, "tokens", config.Tokens, "url", config.NATS.URL)
	slog.New(slog.NewTextHandler(&out, nil)).Info("start", "config", config, "tokens", config.Tokens, "url", config.NATS.URL)
	assert.NotContains(t, out.String(), "!ERROR")
	text, err := json.Marshal(config)
	require.NoError(t, err)
	out.Write(text)
	text, err = config.YAML()
	require.NoError(t, err)
	out.Write(text)
	assert.NotContains(t, out.String(), "hunter2")
	assert.Contains(t, out.String(), "nats://[redacted]@a:4222,nats://[redacted]@b", "what is no secret stays")
	assert.Contains(t, out.String(), `authorization: "[redacted]"`)
	assert.Equal(t, "XBL3.0 x=1;hunter2", config.Tokens.Static.Authorization.Reveal())
}

func TestNoErrorShowsASecretInTheWrongPlace(t *testing.T) {
	for _, text := range []string{
		"tokens: {source: \"" + secret + "\"}",
		"tokens: {eyJ-secret: 1, eyJ-secret: 1}",
		"tokens: {source: static, eyJ-secret: 1, eyJ-secret: 1}",
		"%YAML eyJ-secret\n---\na: 1",
		"tokens: {static: {\"" + secret + "\": 1}}",
		"tokens: {static: {authorization: [\"" + secret + "\"]}}",
		"tokens:\n  static:\n    authorization: " + secret + ": x",
		"tokens:\n  static:\n    authorization: \"" + secret,
		"tokens:\n  static: " + secret,
		"tokens:\n  static:\n    authorization: *" + secret,
		"xbl: {base_url: \"" + secret + "\"}",
		"nats: {url: \"nats://" + secret + "@[\"}",
		"nats: {partitions: \"${T}\"}",
		"nats: {embedded: {sync: \"${T}\"}}",
		"admin: {listen: \"${T}\"}",
		"xbl: {timeout: \"${T}\"}",
		"? " + secret + "\n: [",
		secret,
		"\"" + secret + "\": 1",
	} {
		errs := refuse(t, text, "T", secret)
		assert.NotContains(t, errs.Error(), "eyJ", "of %q", text)
	}
}

func TestWhatIsPrintedLoadsAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := configs.Default()
		text := rapid.OneOf(
			rapid.StringMatching(`[ -~äß{$}:#'"\\]{1,12}`),
			rapid.SampledFrom([]string{
				"${A}", "$${A}", "? !", "012", "1e3", "true", "~", "null", "- a", "a: b", "a #b", "&a", "*a", "!a", "a:", ".inf", "-", "---", "...", "./a",
				"12:30", "2026-01-01", "0x1", "0o7", "a\tb", "a\nb", "<<",
			}),
		)
		window := rapid.Custom(func(t *rapid.T) configs.Window {
			return configs.Window{
				Max: rapid.IntRange(1, 1_000_000).Draw(t, "max"),
				Per: time.Duration(rapid.Int64Range(int64(time.Millisecond), int64(24*time.Hour)).Draw(t, "per")),
			}
		})
		want.NATS.CredentialsFile = text.Draw(t, "credentials_file")
		want.NATS.Embedded.DataDir = text.Draw(t, "data_dir")
		want.Tokens.S2S.Sandbox = text.Draw(t, "sandbox")
		want.Dispatch.InteractiveTTL = window.Draw(t, "interactive_ttl").Per
		want.Quota.InteractiveReserve = rapid.Float64Range(0, 0.9).Draw(t, "reserve")
		want.Quota.Windows = rapid.SliceOfN(window, 0, 16).Draw(t, "windows")
		for _, id := range rapid.SliceOfN(rapid.Uint32(), 0, 3).Draw(t, "titles") {
			title := configs.Title{MaxInFlight: rapid.Ptr(rapid.IntRange(1, 1024), true).Draw(t, "max_in_flight")}
			if rapid.Bool().Draw(t, "has windows") {
				title.Windows = rapid.SliceOfN(window, 0, 3).Draw(t, "title windows")
			}
			want.Quota.Titles[id] = title
		}
		printed, err := want.YAML()
		require.NoError(t, err)
		got, _, err := configs.Parse("printed", printed, env())
		require.NoError(t, err, "%s", printed)
		require.Equal(t, want, got, "%s", printed)
	})
}

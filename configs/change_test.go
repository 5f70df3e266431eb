package configs_test

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
)

func TestWhatChangedIsSaidAsTheFileWould(t *testing.T) {
	parse := func(text string) configs.Config {
		t.Helper()
		c, _, err := configs.Parse("", []byte(text), os.LookupEnv)
		require.NoError(t, err)
		return c
	}
	old, now := parse(""), parse(`
nats: {url: "nats://me:s3cret@nats:4222"}
tokens: {static: {authorization: "XBL3.0 x=me;s3cret"}}
quota: {windows: [{max: 9, per: 15s}], interactive_reserve: 0.2, titles: {"730": {max_in_flight: 8}}}
dispatch: {shutdown_grace: 1m}
log: {level: debug}
`)
	var said []string
	for _, c := range configs.Changes(old, now) {
		said = append(said, c.String())
		assert.NotContains(t, c.String(), "s3cret")
	}
	assert.Equal(t, []string{
		`nats.url: "nats://[redacted]@nats:4222", was ""`,
		`tokens.static.authorization: "[redacted]", was ""`,
		`quota.windows: [{max: 9, per: 15s}], was [{max: 7, per: 15s}, {max: 50, per: 5m}]`,
		`quota.interactive_reserve: 0.2, was 0.1`,
		`quota.titles: {730: {max_in_flight: 8}}, was {}`,
		`dispatch.shutdown_grace: 1m, was 20s`,
		`log.level: debug, was info`,
	}, said)
	assert.Empty(t, configs.Changes(now, now))

	other := now
	other.Tokens.Static.Authorization = configs.NewSecret("XBL3.0 x=me;another")
	assert.Equal(t, "tokens.static.authorization", configs.Changes(now, other)[0].String(), "that it changed is all that may show")
	none := now
	none.Quota.Windows = []configs.Window{}
	nothing := now
	nothing.Quota.Windows = nil
	assert.Empty(t, configs.Changes(none, nothing))
	assert.Equal(t, time.Minute, now.Dispatch.ShutdownGrace)
}

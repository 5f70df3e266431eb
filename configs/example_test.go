package configs_test

import (
	"fmt"

	"github.com/invitedhq/invited/configs"
)

func ExampleParse() {
	getenv := func(name string) (string, bool) {
		if name == "XBL_AUTHORIZATION" {
			return "XBL3.0 x=1234;eyJ…", true
		}
		return "", false
	}
	config, _, err := configs.Parse("invited.yaml", []byte(`
quota:
  titles:
    1234567: {max_in_flight: 8}
`), getenv)
	if err != nil {
		fmt.Println(err)
		return
	}
	windows, maxInFlight := config.Quota.For(1234567)
	fmt.Println(windows, maxInFlight)
	fmt.Println(config.Tokens.Static.Authorization)
	// Output:
	// [{7 15s} {50 5m0s}] 8
	// [redacted]
}

func ExampleErrors() {
	_, _, err := configs.Parse("invited.yaml", []byte(`
log:
  levell: warn
quota:
  windows: [{max: 0, per: 15s}]
`), func(string) (string, bool) { return "", false })
	fmt.Println(err)
	// Output:
	// invited.yaml:3:3: log: unknown key "levell": did you mean level? Known here: level, format
	// invited.yaml:5:19: quota.windows[0].max: must be from 1 to 1000000, not 0
}

package cli

import (
	"bytes"
	"errors"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/assert"
)

func TestExitStatusAndErrorOutput(t *testing.T) {
	for name, c := range map[string]struct {
		args   []string
		err    error
		status int
		errOut string
	}{
		"done":                     {nil, nil, Done, ""},
		"failed":                   {nil, errors.New("no luck"), Failed, "tool: no luck\n"},
		"failed, and told already": {nil, ErrSilent, Failed, ""},
		"wrong use":                {nil, Usagef("name a %s", "file"), WrongUse, "tool: name a file\nSee tool --help.\n"},
		"unknown flag":             {[]string{"--nope"}, nil, WrongUse, "tool: unknown flag: --nope\nSee tool --help.\n"},
		"arguments are not repeated, they may be secrets": {[]string{"s3cret"}, nil, WrongUse,
			"tool: tool takes only flags, and one more argument was given; quote values with spaces\nSee tool --help.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var errOut bytes.Buffer
			cmd := &cobra.Command{Use: "tool", Args: NoArgs, RunE: func(*cobra.Command, []string) error { return c.err }}
			cmd.SetErr(&errOut)
			assert.Equal(t, c.status, Run(t.Context(), cmd, append([]string{}, c.args...)))
			assert.Equal(t, c.errOut, errOut.String())
		})
	}
}

func TestACommandThatThereIsNotIsWrongUseAndOneLikeItIsNamed(t *testing.T) {
	for said, args := range map[string][]string{
		"tool has no such command; did you mean status?\nSee tool --help.\n":                                    {"stauts"},
		"tool has no such command; quote values with spaces\nSee tool --help.\n":                                {"s3cret"},
		"tool completion has no such command; did you mean bash or zsh or fish?\nSee tool completion --help.\n": {"completion", "tcsh"},
	} {
		var errOut bytes.Buffer
		cmd := &cobra.Command{Use: "tool", Args: NoArgs, RunE: func(*cobra.Command, []string) error { return nil }}
		cmd.AddCommand(&cobra.Command{Use: "status", Run: func(*cobra.Command, []string) {}})
		cmd.SetErr(&errOut)
		assert.Equal(t, WrongUse, Run(t.Context(), cmd, args))
		assert.Equal(t, "tool: "+said, errOut.String())
	}
}

func TestPrintableTakesTheSpellOffHostileText(t *testing.T) {
	assert.Equal(t, "a\uFFFD[31mb\uFFFDc\uFFFDd é 😀", Printable("a\x1b[31mb\nc\u202Ed é 😀"))
}

func TestNumbersThatFollowEachOtherAreOneRange(t *testing.T) {
	assert.Equal(t, "0-3, 8, 10-11", Ranges([]int{0, 1, 2, 3, 8, 10, 11}))
	assert.Equal(t, "5", Ranges([]int{5}))
	assert.Equal(t, "none", Ranges(nil))
}

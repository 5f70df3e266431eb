package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// The exit statuses of all commands.
const (
	Done     = 0
	Failed   = 1
	WrongUse = 2
)

// ErrSilent is a failure that has been told already: the exit status says the rest.
var ErrSilent = errors.New("failed")

// UsageError is wrong use: the reader's to mend, and exit status WrongUse.
type UsageError struct{ err error }

// Usagef returns a UsageError.
func Usagef(format string, args ...any) error { return UsageError{fmt.Errorf(format, args...)} }

func (e UsageError) Error() string { return e.err.Error() }

// Unwrap returns the cause.
func (e UsageError) Unwrap() error { return e.err }

// Main runs a command and ends the process with its status. SIGINT and SIGTERM
// end the command's context; a second one ends the process at once.
func Main(newCommand func(out, errOut io.Writer) *cobra.Command) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	code := Run(ctx, newCommand(os.Stdout, os.Stderr), os.Args[1:])
	stop()
	os.Exit(code)
}

// Run runs a command with these arguments and returns its exit status. Errors
// go to the command's error output, as one line or as many as they have.
func Run(ctx context.Context, cmd *cobra.Command, args []string) int {
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return UsageError{err} })
	cmd.SetArgs(args)
	cmd.InitDefaultCompletionCmd(args...)
	for _, sub := range cmd.Commands() {
		if sub.Name() == "completion" { // cobra's own takes a shell that it does not know for a call for help
			sub.Args = NoArgs
			sub.RunE = func(cmd *cobra.Command, _ []string) error { return cmd.Help() }
		}
	}
	ran, err := cmd.ExecuteContextC(ctx)
	switch {
	case err == nil:
		return Done
	case errors.Is(err, ErrSilent):
		return Failed
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", cmd.Name(), err)
	if _, wrongUse := errors.AsType[UsageError](err); wrongUse {
		fmt.Fprintf(cmd.ErrOrStderr(), "See %s --help.\n", ran.CommandPath())
		return WrongUse
	}
	return Failed
}

// NoArgs refuses arguments. It does not repeat them: one may be half of a
// secret that was not quoted. What may be meant is named from what there is.
func NoArgs(cmd *cobra.Command, args []string) error {
	switch {
	case len(args) == 0:
		return nil
	case cmd.HasAvailableSubCommands():
		cmd.SuggestionsMinimumDistance = 2 // as cobra has it where it asks itself
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			return Usagef("%s has no such command; did you mean %s?", cmd.CommandPath(), strings.Join(near, " or "))
		}
		return Usagef("%s has no such command; quote values with spaces", cmd.CommandPath())
	case len(args) == 1:
		return Usagef("%s takes only flags, and one more argument was given; quote values with spaces", cmd.CommandPath())
	}
	return Usagef("%s takes only flags, and %d more arguments were given; quote values with spaces", cmd.CommandPath(), len(args))
}

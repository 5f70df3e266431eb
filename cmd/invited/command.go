package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/configs"
)

func newCommand(out, errOut io.Writer) *cobra.Command {
	serve := newServeCommand(errOut)
	root := &cobra.Command{
		Use:   "invited",
		Short: "Sends game invites from NATS JetStream to Xbox Live, within the quota",
		Long: `invited takes invite jobs from NATS JetStream, puts their recipients into as few calls to Xbox Live as it can, and
makes those calls as fast as the quota allows. What can never be sent becomes a dead letter.
Without a command it serves.`,
		Args: cli.NoArgs,
		RunE: serve.RunE,
	}
	root.Flags().AddFlagSet(serve.Flags())
	root.SetOut(out)
	root.SetErr(errOut)
	root.AddCommand(serve, newDemoCommand(out, errOut), newCheckConfigCommand(out, errOut), newHealthCommand(out), newVersionCommand(out))
	return root
}

func newServeCommand(errOut io.Writer) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Work until SIGINT or SIGTERM",
		Example: `  invited serve
  INVITED_NATS_URL=nats://nats:4222 invited serve --config invited.yaml`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, warnings, err := configs.Load(file, os.LookupEnv)
			if err != nil {
				return err
			}
			level := new(slog.LevelVar)
			level.Set(levelOf(cfg.Log.Level))
			log := newLogger(errOut, cfg.Log.Format, level)
			for _, w := range warnings {
				log.Warn("configuration", "warning", w.String())
			}
			w := newWorker(cfg, log)
			w.reload = newReloader(level, func() (configs.Config, configs.Warnings, error) { return configs.Reload(file, os.LookupEnv) })
			w.otel = os.LookupEnv
			defer w.reload.stop()
			return w.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML); without one every key has its default")
	return cmd
}

func newCheckConfigCommand(out, errOut io.Writer) *cobra.Command {
	var file string
	var show bool
	cmd := &cobra.Command{
		Use:   "check-config [FILE]",
		Short: "Say what is wrong with a configuration, with line and column",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && file != "" {
				return cli.Usagef("name one file, as --config or as the argument")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				file = args[0]
			}
			cfg, warnings, err := configs.Load(file, os.LookupEnv)
			for _, w := range warnings {
				fmt.Fprintf(errOut, "warning: %s\n", w)
			}
			if err != nil {
				fmt.Fprintln(errOut, err)
				return cli.ErrSilent
			}
			if slices.ContainsFunc(warnings, func(w configs.Warning) bool { return w.Unusable }) {
				return cli.ErrSilent
			}
			if show {
				text, err := cfg.YAML()
				if err != nil {
					return err
				}
				_, err = out.Write(text)
				return err
			}
			if file == "" {
				file = "the default configuration"
			}
			_, err = fmt.Fprintf(out, "%s is valid\n", file)
			return err
		},
	}
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML)")
	cmd.Flags().BoolVar(&show, "print", false, "print the whole configuration as it takes effect, secrets masked")
	return cmd
}

func newVersionCommand(out io.Writer) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cli.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(out, buildOf())
			return err
		},
	}
}

// newLogger writes one line an event. The level and format are checked by configs.
func newLogger(w io.Writer, format configs.LogFormat, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == configs.FormatJSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func levelOf(l configs.LogLevel) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(strings.ToUpper(string(l)))); err != nil {
		return slog.LevelInfo
	}
	return level
}

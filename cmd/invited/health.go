package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/configs"
)

// healthTime is how long an answer may take: less than the 3 s that orchestrators give their checks, so that what is wrong is
// still said.
const healthTime = 2 * time.Second

// maxHealthAnswer is how much of an answer is read and shown.
const maxHealthAnswer = 1 << 10

func newHealthCommand(out io.Writer) *cobra.Command {
	var base, file string
	var live bool
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a running invited whether it takes jobs",
		Long: `health asks the invited that runs on this machine, at the address that serve takes from the same configuration and
environment, and ends with status 0 if it takes jobs (/readyz), or with --live if its loop turns (/livez), else with 1 and
the reason. It waits 2 s.
It is there for images that hold nothing else, and so no curl.`,
		Example: `  invited health
  invited health --live --config /etc/invited/invited.yaml
  invited health --url http://10.0.0.7:9464`,
		Args: cli.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if base == "" {
				listen, err := configs.AdminListen(file, os.LookupEnv)
				if err != nil {
					return err
				}
				if base, err = adminURL(listen); err != nil {
					return err
				}
			}
			u, err := url.Parse(base)
			if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				return cli.Usagef("--url must be that of an admin listener, such as http://127.0.0.1:9464")
			}
			path, says := "readyz", "ready"
			if live {
				path, says = "livez", "alive"
			}
			if err := askHealth(cmd.Context(), u.JoinPath(path)); err != nil {
				return fmt.Errorf("not %s: %w", says, err)
			}
			_, err = fmt.Fprintln(out, says)
			return err
		},
	}
	cmd.Flags().StringVar(&base, "url", "", "of the admin listener; --config and the environment are not asked then")
	cmd.Flags().StringVar(&file, "config", "", "configuration file (YAML) that names it in admin.listen")
	cmd.Flags().BoolVar(&live, "live", false, "ask whether its loop turns: what waits for NATS does not take jobs, but is alive")
	return cmd
}

// adminURL is where the machine itself reaches what listens at an address. All addresses of the machine are asked on loopback.
func adminURL(listen string) (string, error) {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return "", fmt.Errorf("admin.listen: %w", err)
	}
	if port == "0" {
		return "", errors.New("admin.listen takes any free port (0), so nobody knows where to ask; name it with --url")
	}
	switch ip, err := netip.ParseAddr(host); {
	case host == "" || err == nil && ip.IsUnspecified() && ip.Is4():
		host = "127.0.0.1"
	case err == nil && ip.IsUnspecified():
		host = "::1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// askHealth says why the answer is not 200. A proxy of the environment is for the world outside, and not asked.
func askHealth(ctx context.Context, u *url.URL) error {
	ctx, cancel := context.WithTimeout(ctx, healthTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true}
	resp, err := transport.RoundTrip(req)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("no answer from %s within %s", u.Redacted(), healthTime)
	case err != nil:
		return fmt.Errorf("no answer from %s: %w; is it running, and is that its admin.listen?", u.Redacted(), err)
	}
	defer resp.Body.Close()
	said, _ := io.ReadAll(io.LimitReader(resp.Body, maxHealthAnswer)) // what came is what there is to show
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%d: %s", resp.StatusCode, cli.Printable(strings.TrimSpace(string(said))))
	}
	return nil
}

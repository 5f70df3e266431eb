package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/invitedhq/invited/cmd/internal/cli"
	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// The files that certificates makes.
const (
	caFile         = "ca.pem"
	serverFile     = "server.pem"
	serverKeyFile  = "server-key.pem"
	partnerFile    = "partner.pem"
	partnerKeyFile = "partner-key.pem"
)

func newCertificatesCommand(out io.Writer) *cobra.Command {
	var hosts []string
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "certificates DIR",
		Short: "Make the certificates that the auth services need, for staging",
		Long: `certificates makes an authority and lets it sign a certificate for the auth services and a Business Partner certificate
for whoever calls them: with these, the token source s2s can be tried without an account at Microsoft. The authority's key is
thrown away. No file is overwritten.`,
		Example: `  xblsim certificates ./certificates --host localhost --host 127.0.0.1`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return cli.Usagef("name one directory, not %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if life <= 0 {
				return cli.Usagef("--for: %s is not above 0", life)
			}
			if err := writeCertificates(args[0], hosts, time.Now().Add(life)); err != nil {
				return err
			}
			file := func(name string) string { return filepath.Join(args[0], name) }
			fmt.Fprintf(out, `Made %s. Now:
  xblsim --auth-listen 127.0.0.1:8443 --tls-cert %s --tls-key %s --auth-client-ca %s
Its clients trust %s, and show %s with the key %s.
`, args[0], file(serverFile), file(serverKeyFile), file(caFile), file(caFile), file(partnerFile), file(partnerKeyFile))
			return nil
		},
	}
	cmd.Flags().StringArrayVar(&hosts, "host", []string{"localhost", "127.0.0.1", "::1"},
		"name or address by which the auth services are reached; may be repeated")
	cmd.Flags().DurationVar(&life, "for", 365*24*time.Hour, "how long they are valid")
	return cmd
}

// writeCertificates makes all of them before it writes any.
func writeCertificates(dir string, hosts []string, until time.Time) error {
	authority, err := auth.NewAuthority(until)
	if err != nil {
		return err
	}
	server, err := authority.Server(until, hosts...)
	if err != nil {
		return err
	}
	partner, err := authority.Partner(time.Now().Add(-time.Hour), until)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for _, f := range []struct {
		name string
		text []byte
		mode os.FileMode
	}{
		// Keys first: where one of these files is there already, it is most likely a key that must not be lost.
		{serverKeyFile, server.Key, 0o600},
		{partnerKeyFile, partner.Key, 0o600},
		{serverFile, server.Certificate, 0o644},
		{partnerFile, partner.Certificate, 0o644},
		{caFile, authority.PEM(), 0o644},
	} {
		if err := writeNew(filepath.Join(dir, f.name), f.text, f.mode); err != nil {
			return err
		}
	}
	return nil
}

// writeNew writes a file that is not there yet.
func writeNew(name string, text []byte, mode os.FileMode) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = file.Write(text)
	if closed := file.Close(); err == nil {
		err = closed
	}
	return err
}

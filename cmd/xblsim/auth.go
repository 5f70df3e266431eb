package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/spf13/pflag"

	"github.com/invitedhq/invited/xbl/xblsim"
	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// authFlags are the values of the flags that begin with --auth or --tls, as they were typed.
type authFlags struct {
	listen    string
	clientCA  string
	tlsCert   string
	tlsKey    string
	quota     string
	options   auth.Options
	faultXErr uint32
}

// authServer is the auth services and where they listen.
type authServer struct {
	address string
	service *auth.Service
	tls     *tls.Config
}

func (f *authFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.listen, "auth-listen", "", "address of the auth services; with it, invites need a token of theirs (default off)")
	fs.StringVar(&f.tlsCert, "tls-cert", "", "PEM file with the auth services' certificate")
	fs.StringVar(&f.tlsKey, "tls-key", "", "PEM file with its private key")
	fs.StringVar(&f.clientCA, "auth-client-ca", "", "PEM file with who signs Business Partner certificates")
	fs.StringVar(&f.quota, "auth-quota", "15/15s,50/300s", "fixed windows per certificate; empty for none")
	fs.StringVar(&f.options.Sandbox, "auth-sandbox", "RETAIL", "the sandbox that tokens are issued for")
	fs.DurationVar(&f.options.ServiceLife, "auth-service-life", 0, "life of a service token (default 336h)")
	fs.DurationVar(&f.options.AccessLife, "auth-token-life", 0, "life of an access token (default 8h)")
	fs.DurationVar(&f.options.DelegationLife, "auth-delegation-life", 0, "life of a delegation token (default 720h)")
	fs.DurationVar(&f.options.Skew, "auth-skew", 0, "how far the time in a signature may be off (default 5m)")
	fs.DurationVar(&f.options.Latency, "auth-latency", 0, "time from a call of the auth services to its answer")
	fs.DurationVar(&f.options.Faults.ClockOffset, "auth-clock-offset", 0, "how wrong the services' clock is, such as -10m")
	fs.Uint32Var(&f.faultXErr, "auth-fault-xerr", 0, "refuse every token with this XErr, such as 2148916242")
}

// parse reads the files too. What is not of the auth services alone is as for the invite endpoints.
// Without --auth-listen there is no server, and no other of these flags.
func (f *authFlags) parse(fs *pflag.FlagSet, of xblsim.Options) (*authServer, error) {
	if f.listen == "" {
		var idle error
		fs.Visit(func(flag *pflag.Flag) {
			if strings.HasPrefix(flag.Name, "auth-") || strings.HasPrefix(flag.Name, "tls-") {
				idle = fmt.Errorf("--%s: does nothing without --auth-listen", flag.Name)
			}
		})
		return nil, idle
	}
	if _, _, err := net.SplitHostPort(f.listen); err != nil {
		return nil, fmt.Errorf("--auth-listen: %q is no host:port", f.listen)
	}
	o := f.options
	o.Logger, o.InFlightGrace = of.Logger, of.InFlightGrace
	o.Faults.XErr = auth.XErr(f.faultXErr)
	var err error
	if o.Quota, err = xblsim.ParseQuota(f.quota); err != nil {
		return nil, fmt.Errorf("--auth-quota: %w", err)
	}
	if o.ClientCAs, err = readPool(f.clientCA); err != nil {
		return nil, fmt.Errorf("--auth-client-ca: %w", err)
	}
	if err := o.Validate(); err != nil {
		return nil, err
	}
	if f.tlsCert == "" || f.tlsKey == "" {
		return nil, errors.New("--tls-cert, --tls-key: both are needed with --auth-listen; xblsim certificates makes them")
	}
	certificate, err := tls.LoadX509KeyPair(f.tlsCert, f.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("--tls-cert, --tls-key: %w", err)
	}
	service := auth.New(o)
	return &authServer{f.listen, service, service.TLS(certificate)}, nil
}

func readPool(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, errors.New("needed with --auth-listen; xblsim certificates makes one")
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

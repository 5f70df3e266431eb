package configs

import (
	"io/fs"
	"net"
	"runtime"
	"slices"
	"strings"
)

// warn adds what works but is seldom meant.
func (l *loader) warn() {
	c := l.config
	l.warnTokens()
	l.warnReachable(pathAdminListen, c.Admin.Listen)
	if c.NATS.Replicas%2 == 0 {
		l.warnAt("nats.replicas", "an even number survives no more losses than one less: 1, 3 or 5 are better")
	}
	if !c.NATS.URL.IsZero() {
		return
	}
	l.warnReachable("nats.embedded.listen", c.NATS.Embedded.Listen)
	for _, unused := range []struct{ path, value string }{
		{"nats.credentials_file", c.NATS.CredentialsFile},
		{"nats.tls.ca_file", c.NATS.TLS.CAFile},
		{"nats.tls.cert_file", c.NATS.TLS.CertFile},
	} {
		if unused.value != "" {
			l.warnAt(unused.path, "is not used: nats.url is empty, so the worker runs its embedded server")
		}
	}
}

func (l *loader) warnReachable(path, address string) {
	if host, _, err := net.SplitHostPort(address); err == nil && !isLoopback(host) {
		l.warnAt(path, "other machines can reach this address: use it only where all of them may, or listen on 127.0.0.1")
	}
}

// warnTokens keeps only the warnings of the section that is used, and says what an
// empty authorization leads to.
func (l *loader) warnTokens() {
	t := l.config.Tokens
	used := "tokens." + string(t.Source) + "."
	l.warns = slices.DeleteFunc(l.warns, func(w Warning) bool {
		sub := strings.HasPrefix(w.Path, "tokens.") && w.Path != "tokens.source"
		return sub && (!strings.HasPrefix(w.Path, used) || w.Path == pathAuthorization && t.Static.Authorization.IsZero())
	})
	if t.Source == TokensS2S && t.S2S.DelegationDir == "" && l.config.XBL.Audience == AudienceClient {
		l.warnAt("tokens.source", "the service's own token is for xbl.audience: server; for client, set tokens.s2s.delegation_dir")
	}
	if t.Source == TokensS2S && t.S2S.DelegationDir != "" && l.config.XBL.Audience == AudienceServer {
		l.warnAt("tokens.source", "users' delegated tokens are for xbl.audience: client; for server, leave out tokens.s2s.delegation_dir")
	}
	if t.Source == TokensStatic && t.Static.Authorization.IsZero() {
		l.warnAt(pathAuthorization, "there is no token, so jobs wait until the worker is started with one: "+
			"set XBL_AUTHORIZATION (or the variable that the file names), or use tokens.source: file")
	}
}

// warnReadable warns of a secret written into a file that every user of the machine can read.
func (l *loader) warnReadable(mode fs.FileMode) {
	const othersMayRead = 0o004
	// Windows keeps its permissions elsewhere: its mode bits say nothing.
	if runtime.GOOS == "windows" || mode.Perm()&othersMayRead == 0 {
		return
	}
	for path, secret := range map[string]bool{
		pathAuthorization: !l.config.Tokens.Static.Authorization.IsZero(),
		pathNATSURL:       l.config.NATS.URL.String() != l.config.NATS.URL.Reveal(),
	} {
		if secret && l.places[path].Line > 0 && !l.hidden[path] {
			l.warnAt(path, "every user of this machine can read the file, and it holds a secret: "+
				"run chmod o-r on it, or write ${NAME} and set that variable")
		}
	}
}

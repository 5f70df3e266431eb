package configs

import (
	"errors"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/invitedhq/invited/xbl/tokens/broker"
	"github.com/invitedhq/invited/xbl/tokens/wire"
)

func (l *loader) validateTokens(t Tokens) {
	const path = "tokens.source"
	oneOf(l, path, t.Source, TokensStatic, TokensFile, TokensHTTP, TokensS2S)
	if t.Source == TokensFile && t.File.Dir == "" {
		l.refuse(l.firstSet("tokens.file.dir", path), "the source file needs tokens.file.dir, the folder with one file per sender")
	}
	if strings.ContainsFunc(t.Static.Authorization.Reveal(), unicode.IsControl) {
		l.refuse(pathAuthorization, "must be one line without control characters: a header can't hold them")
	}
	between(l, "tokens.http.timeout", t.HTTP.Timeout, 100*time.Millisecond, time.Minute)
	between(l, "tokens.s2s.timeout", t.S2S.Timeout, 100*time.Millisecond, time.Minute)
	l.windows("tokens.s2s.limits", t.S2S.Limits)
	switch t.Source {
	case TokensHTTP:
		l.validateBroker(t.HTTP)
	case TokensS2S:
		l.validateS2S(t.S2S)
	case TokensStatic, TokensFile:
	}
}

func (l *loader) validateBroker(h HTTPTokens) {
	const path = "tokens.http."
	if h.URL.IsZero() {
		l.refuse(l.firstSet(path+"url", "tokens.source"),
			"the source http needs tokens.http.url, such as https://tokens.example/xbl/{sender}")
	} else if problem := wire.SafeURL(strings.ReplaceAll(h.URL.Reveal(), broker.Placeholder, "s")); problem != "" {
		l.refuse(path+"url", "%s", problem)
	}
	if (h.CertFile == "") != (h.KeyFile == "") {
		l.refuse(l.firstSet(path+"cert_file", path+"key_file"), "cert_file and key_file come together: set both or neither")
		return
	}
	if !l.readsFiles {
		return
	}
	if h.CertFile != "" {
		l.checkCertificate(path+"cert_file", path+"key_file", h.CertFile, h.KeyFile)
	}
	l.checkCA(path+"ca_file", h.CAFile)
	if h.HeadersFile == "" {
		return
	}
	if err := broker.CheckHeaders(h.HeadersFile); err != nil {
		l.refuse(path+"headers_file", "%v", err)
	} else if wire.ReadableByAll(h.HeadersFile) {
		l.warnAt(path+"headers_file", openSecret)
	}
}

func (l *loader) validateS2S(s S2STokens) {
	const path = "tokens.s2s."
	for key, url := range map[string]string{"service_url": s.ServiceURL, "xsts_url": s.XSTSURL} {
		if problem := wire.SafeURL(url); url != "" && problem != "" {
			l.refuse(path+key, "%s", problem)
		}
	}
	if s.CertificateFile == "" || s.KeyFile == "" {
		l.refuse(l.firstSet(path+"certificate_file", path+"key_file", "tokens.source"),
			"the source s2s needs tokens.s2s.certificate_file and key_file: "+
				"the Business Partner Certificate of Partner Center, and its key")
		return
	}
	if !l.readsFiles {
		return
	}
	l.checkCertificate(path+"certificate_file", path+"key_file", s.CertificateFile, s.KeyFile)
	l.checkCA(path+"ca_file", s.CAFile)
	if info, err := os.Stat(s.DelegationDir); s.DelegationDir != "" && (err != nil || !info.IsDir()) {
		l.refuse(path+"delegation_dir", "there is no such folder; it has a file for each sender, with the delegation token")
	}
}

const openSecret = "every user of this machine can read the file, and it holds a secret: run chmod o-r on it " +
	"(a Kubernetes secret: defaultMode: 0440)"

// checkCertificate refuses files that can't be used, and warns of those that can't now.
func (l *loader) checkCertificate(certPath, keyPath, certFile, keyFile string) {
	certificate, err := wire.LoadCertificate(certFile, keyFile)
	if problem, ok := errors.AsType[*wire.FileError](err); ok {
		path := certPath
		if problem.IsKey {
			path = keyPath
		}
		l.refuse(path, "%s", problem.Detail)
		return
	}
	const soon = 30 * 24 * time.Hour
	now := time.Now()
	if problem := wire.Unusable(certificate, now); problem != "" {
		l.warnAt(certPath, "%s. Until then there are no tokens, and jobs wait", problem)
		l.warns[len(l.warns)-1].Unusable = true
	} else if wire.Unusable(certificate, now.Add(soon)) != "" {
		l.warnAt(certPath, "the certificate ends on %s: have a new one issued, and put it in its place",
			certificate.Leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	if wire.ReadableByAll(keyFile) {
		l.warnAt(keyPath, openSecret)
	}
}

func (l *loader) checkCA(path, file string) {
	if file == "" {
		return
	}
	if _, err := wire.ReadCA(file); err != nil {
		l.refuse(path, "%v", err)
	}
}

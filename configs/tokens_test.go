package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/configs"
	"github.com/invitedhq/invited/xbl/tokens/wire/wiretest"
)

// loadTokens loads a configuration file with a tokens section, and says all that is said of it.
func loadTokens(t *testing.T, section string) (configs.Warnings, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "c.yaml")
	require.NoError(t, os.WriteFile(file, []byte("xbl: {audience: server}\ntokens:\n"+section), 0o600))
	_, warnings, err := configs.Load(file, func(string) (string, bool) { return "", false })
	said := ""
	for _, w := range warnings {
		said += fmt.Sprintln("warning:", w.Line, w.Path, w.Message)
	}
	if err != nil {
		said += err.Error()
	}
	return warnings, said
}

func TestWhatIsWrongWithCertificateFilesIsNamedWithItsLine(t *testing.T) {
	a := wiretest.NewAuthority(t)
	cert, key := a.Valid(t, "hunter2")
	_, otherKey := a.Valid(t, "other")
	ended, endedKey := a.Issue(t, "ended", time.Now().Add(-48*time.Hour), time.Now().Add(-24*time.Hour))
	ending, endingKey := a.Issue(t, "ending", time.Now().Add(-48*time.Hour), time.Now().Add(7*24*time.Hour))
	encrypted := filepath.Join(t.TempDir(), "encrypted")
	wiretest.WritePEM(t, encrypted, 0o600, "ENCRYPTED PRIVATE KEY", []byte("x"))
	open, openKey := a.Valid(t, "open")
	require.NoError(t, os.Chmod(openKey, 0o644))
	pipe := filepath.Join(t.TempDir(), "dir")
	require.NoError(t, os.Mkdir(pipe, 0o700))
	for name, tt := range map[string]struct {
		cert, key, more string
		want            string // empty: all is well
		unusable        bool
	}{
		"good":           {cert, key, "", "", false},
		"missing":        {cert + ".none", key, "", "5:23: tokens.s2s.certificate_file: there is no such file", false},
		"no file":        {pipe, key, "", "tokens.s2s.certificate_file: it can't be read", false},
		"wrong key":      {cert, otherKey, "", "6:15: tokens.s2s.key_file: it is not the key of the certificate", false},
		"encrypted":      {cert, encrypted, "", "6:15: tokens.s2s.key_file: the key is encrypted", false},
		"ended":          {ended, endedKey, "", "warning: 5 tokens.s2s.certificate_file the certificate ended on", true},
		"ending":         {ending, endingKey, "", "warning: 5 tokens.s2s.certificate_file the certificate ends on", false},
		"world-readable": {open, openKey, "", "warning: 6 tokens.s2s.key_file every user of this machine can read the file", false},
		"no CA":          {cert, key, "ca_file: " + key, "7:14: tokens.s2s.ca_file: it has no certificate in PEM", false},
		"another mode's": {cert, key, "delegation_dir: " + filepath.Dir(pipe), "warning: 3 tokens.source users' delegated tokens are for", false},
		"no delegations": {cert, key, "delegation_dir: " + cert, "7:21: tokens.s2s.delegation_dir: there is no such folder", false},
	} {
		warnings, said := loadTokens(t, fmt.Sprintf("  source: s2s\n  s2s:\n    certificate_file: %s\n    key_file: %s\n    %s\n", tt.cert, tt.key, tt.more))
		if tt.want == "" {
			assert.Empty(t, said, name)
			continue
		}
		assert.Contains(t, said, tt.want, name)
		assert.NotContains(t, said, "hunter2", "%s: nothing of the section is repeated", name)
		unusable := false
		for _, w := range warnings {
			unusable = unusable || w.Unusable
		}
		assert.Equal(t, tt.unusable, unusable, name)
	}
}

func TestWhatIsWrongWithTheBrokersFilesIsNamed(t *testing.T) {
	a := wiretest.NewAuthority(t)
	cert, key := a.Valid(t, "worker")
	headers := filepath.Join(t.TempDir(), "headers")
	section := func(more string) string {
		_, said := loadTokens(t, "  source: http\n  http:\n    url: https://tokens.example/{sender}?code=hunter2\n"+more)
		assert.NotContains(t, said, "hunter2")
		return said
	}
	require.NoError(t, os.WriteFile(headers, []byte("X-Api-Key: hunter2\n"), 0o600))
	assert.Empty(t, section("    headers_file: "+headers+"\n    cert_file: "+cert+"\n    key_file: "+key+"\n    ca_file: "+a.CAFile+"\n"))
	require.NoError(t, os.Chmod(headers, 0o644))
	assert.Contains(t, section("    headers_file: "+headers+"\n"), "tokens.http.headers_file every user of this machine can read")
	require.NoError(t, os.WriteFile(headers, []byte("hunter2\n"), 0o600))
	assert.Contains(t, section("    headers_file: "+headers+"\n"), "tokens.http.headers_file: line 1:")
	assert.Contains(t, section("    cert_file: "+cert+"\n    key_file: "+cert+"\n"), "tokens.http.key_file: it has no private key")
}

func TestOnlyTheSectionOfTheSourceIsLookedAt(t *testing.T) {
	_, said := loadTokens(t, "  source: static\n  static: {authorization: \"XBL3.0 x=a;b\"}\n  s2s: {certificate_file: none, key_file: none}\n  http: {ca_file: none}\n")
	assert.Empty(t, said)
}

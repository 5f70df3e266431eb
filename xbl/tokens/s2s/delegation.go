package s2s

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/invitedhq/invited/xbl"
)

// readDelegation reads a sender's delegation token from dir/<sender>. Somebody else renews it there: it is read for each
// request.
func readDelegation(dir, sender string) (string, *xbl.TokenError) {
	if !xbl.ValidSender(sender) {
		return "", &xbl.TokenError{Kind: xbl.TokenInvalid, Sender: sender, Detail: "a sender is 1 to 64 of A-Z a-z 0-9 _ -"}
	}
	path := filepath.Join(dir, sender)
	problem := func(kind xbl.TokenErrorKind, detail string, err error) (string, *xbl.TokenError) {
		if pathErr, ok := errors.AsType[*fs.PathError](err); ok {
			err = pathErr.Err
		}
		return "", &xbl.TokenError{Kind: kind, Sender: sender, Detail: detail, Err: err}
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem(xbl.TokenMissing, "write the sender's delegation token to "+path+" (tokens.s2s.delegation_dir)", err)
	case err != nil:
		return problem(xbl.TokenInvalid, "the delegation token "+path+" can't be read", err)
	case !info.Mode().IsRegular(): // opening a pipe would wait for whoever writes to it
		return problem(xbl.TokenInvalid, path+" is no regular file", nil)
	case info.Mode().Perm()&0o004 != 0 && runtime.GOOS != "windows":
		return problem(xbl.TokenInvalid,
			"everyone on this machine may read "+path+"; run: chmod o-rwx "+path+" (a Kubernetes secret: defaultMode: 0440)", nil)
	}
	content, err := readBounded(path)
	if err != nil {
		return problem(xbl.TokenInvalid, "the delegation token "+path+" can't be read", err)
	}
	token, words := parseDelegation(content)
	if words != "" {
		return problem(xbl.TokenInvalid, "the delegation token "+path+" "+words, nil)
	}
	return token, nil
}

// readBounded reads little more than a token.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	return io.ReadAll(io.LimitReader(f, maxToken+1))
}

// parseDelegation reads what stands in a file of a delegation token, or says what is wrong with it.
func parseDelegation(content []byte) (token, problem string) {
	token = strings.TrimSpace(string(content))
	switch {
	case token == "":
		return "", "is empty"
	case len(content) > maxToken:
		return "", "is longer than a token can be"
	case !isVisible(token):
		return "", "has a space, a line break or something that is no ASCII in it"
	default:
		return token, ""
	}
}

package xblsim

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
)

// tokenKey stands for an Authorization value wherever something is kept or shown, so that no token is.
type tokenKey [8]byte

func keyOfToken(authorization string) tokenKey {
	sum := sha256.Sum256([]byte(authorization))
	return tokenKey(sum[:len(tokenKey{})])
}

func (k tokenKey) String() string { return hex.EncodeToString(k[:]) }

// TokenKey returns the 16 hexadecimal digits that stand for an Authorization value in [Call], in logs and
// in /faults: the start of its SHA-256.
func TokenKey(authorization string) string { return keyOfToken(authorization).String() }

// parseTokenKey takes an Authorization value or its key. Its error doesn't say what it got, which may be a token.
func parseTokenKey(s string) (tokenKey, error) {
	if checkAuthorization(s) == nil {
		return keyOfToken(s), nil
	}
	var k tokenKey
	if len(s) != hex.EncodedLen(len(k)) {
		return k, errNoTokenKey()
	}
	if _, err := hex.Decode(k[:], []byte(s)); err != nil {
		return k, errNoTokenKey()
	}
	return k, nil
}

func errNoTokenKey() error {
	return errors.New(`neither an Authorization value ("XBL3.0 x=<hash>;<token>") nor the 16 hexadecimal digits of its key`)
}

// checkAuthorization reports what is wrong with an Authorization value, without repeating any of it.
func checkAuthorization(value string) error {
	rest, found := strings.CutPrefix(value, "XBL3.0 x=")
	if !found {
		return errors.New(`Authorization: does not begin with "XBL3.0 x="`)
	}
	hash, token, found := strings.Cut(rest, ";")
	if !found {
		return errors.New("Authorization: no ; between user hash and token")
	}
	if !visible(hash) {
		return errors.New("Authorization: the user hash is empty or has characters that don't belong there")
	}
	if !visible(token) {
		return errors.New("Authorization: the token is empty or has characters that don't belong there")
	}
	return nil
}

// visible reports whether s is not empty and all printable ASCII without spaces.
func visible(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] > '~' {
			return false
		}
	}
	return s != ""
}

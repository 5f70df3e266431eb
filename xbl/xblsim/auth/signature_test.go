package auth_test

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"encoding/base64"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/xblsim/auth"
)

// vector is a request of testdata/signatures, as it came off the wire.
type vector struct {
	name   string
	method string
	target string
	header http.Header
	body   []byte
	key    *ecdsa.PublicKey
}

// signedAt is the time in all vectors.
func signedAt() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 123456700, time.UTC) }

func vectors(t require.TestingT) []vector {
	text, err := os.ReadFile("testdata/signatures/proofkey.json")
	require.NoError(t, err)
	key, err := auth.ParseProofKey(text)
	require.NoError(t, err)
	files, err := filepath.Glob("testdata/signatures/*.http")
	require.NoError(t, err)
	require.Len(t, files, 6)
	all := make([]vector, 0, len(files))
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		require.NoError(t, err)
		body, err := io.ReadAll(r.Body)
		require.NoError(t, err)
		name := strings.TrimSuffix(filepath.Base(file), ".http")
		all = append(all, vector{name: name, method: r.Method, target: r.RequestURI, header: r.Header, body: body, key: key})
	}
	return all
}

// check returns what is wrong with the request at a time.
func (v vector) check(at time.Time) *auth.Denial {
	r := &http.Request{Method: v.method, RequestURI: v.target, Header: v.header}
	return auth.CheckSignature(r, v.key, v.header.Get("Authorization"), v.body, at)
}

// with returns the request with another value of a header.
func (v vector) with(name, value string) vector {
	v.header = v.header.Clone()
	v.header.Set(name, value)
	return v
}

func TestSignaturesOfOpensslAreGood(t *testing.T) {
	for _, v := range vectors(t) {
		assert.Nil(t, v.check(signedAt()), v.name)
		at, err := auth.SignatureTime(v.header.Get("Signature"))
		require.NoError(t, err)
		assert.Equal(t, signedAt(), at, "the time is in units of 100 ns since 1601")
	}
}

// changes returns s with one byte changed, for each of its bytes. The new one is printable if the old one was.
func changes(s string) []string {
	all := make([]string, len(s))
	for i := range len(s) {
		b := s[i] ^ 1
		if b <= ' ' || b == 0x7F {
			b = s[i] ^ 2
		}
		all[i] = s[:i] + string([]byte{b}) + s[i+1:]
	}
	return all
}

func TestEachByteThatIsSignedCounts(t *testing.T) {
	for _, v := range vectors(t) {
		refused := func(part string, i int, changed vector) {
			t.Helper()
			d := changed.check(signedAt())
			require.NotNil(t, d, "%s: byte %d of the %s is another, and the signature must be refused", v.name, i, part)
			assert.Equal(t, http.StatusForbidden, d.Status)
		}
		for i, s := range changes(v.header.Get("Signature")) {
			refused("Signature", i, v.with("Signature", s))
		}
		raw, err := base64.StdEncoding.DecodeString(v.header.Get("Signature"))
		require.NoError(t, err)
		for i := range raw {
			raw[i] ^= 0x10
			refused("signature's bytes", i, v.with("Signature", base64.StdEncoding.EncodeToString(raw)))
			raw[i] ^= 0x10
		}
		for i, s := range changes(v.method) {
			other := v
			other.method = s
			refused("method", i, other)
		}
		for i, s := range changes(v.target) {
			other := v
			other.target = s
			refused("path and query", i, other)
		}
		for i, s := range changes(v.header.Get("Authorization")) {
			refused("Authorization", i, v.with("Authorization", s))
		}
		step := 1
		if v.name == "long" {
			step = 1170 // 7 times to 8190, as each takes a while; and then the border
		}
		const signed = 8192
		for i := 0; i < min(len(v.body), signed); i += step {
			refused("body", i, v.withByte(i))
		}
		if len(v.body) > signed {
			refused("body", signed-1, v.withByte(signed-1))
			assert.Nil(t, v.withByte(signed).check(signedAt()), "bytes from %d on are not signed", signed)
		}
	}
}

// withByte returns the request with one byte of its body changed.
func (v vector) withByte(i int) vector {
	v.body = bytes.Clone(v.body)
	v.body[i] ^= 1
	return v
}

func TestNothingMayMoveFromOnePartOfARequestToTheNext(t *testing.T) {
	for _, v := range vectors(t) {
		longer := v
		longer.body = append(bytes.Clone(v.body), 0)
		if v.name != "long" {
			assert.NotNil(t, longer.check(signedAt()), "%s: a byte more in the body", v.name)
		}
		moved := v
		moved.method, moved.target = v.method+v.target[:1], v.target[1:]
		assert.NotNil(t, moved.check(signedAt()), "%s: a byte of the path moved to the method", v.name)
	}
}

func TestASignatureSaysWhatIsWrongWithIt(t *testing.T) {
	v := vectors(t)[0]
	good := v.header.Get("Signature")
	tests := []struct{ name, header, reason, message string }{
		{"nothing", "", "malformed_signature", "0 characters"},
		{"too short", good[4:], "malformed_signature", "100 characters"},
		{"too long", good + "AAAA", "malformed_signature", "108 characters"},
		{"base64url", strings.NewReplacer("/", "_", "+", "-").Replace(strings.Repeat("/", 8) + good[8:]), "malformed_signature", "base64"},
		{"no padding", strings.TrimRight(good, "=") + "AA", "malformed_signature", "base64"},
		{"line breaks", good[:96] + "\r\n\r\n\r\n\r\n", "malformed_signature", "base64"},
		{"another policy", "AAAAAg" + good[6:], "signature_policy", "version 2"},
		{"time 0", good[:5] + "QAAAAAAAAAAA" + good[17:], "signature_time", "1601-01-01T00:00:00Z"},
		{"r and s 0", good[:16] + strings.Repeat("A", 86) + "==", "invalid_signature", "proof key"},
	}
	for _, test := range tests {
		d := v.with("Signature", test.header).check(signedAt())
		require.NotNil(t, d, test.name)
		assert.Equal(t, test.reason, d.Reason, test.name)
		assert.Contains(t, d.Message, test.message, test.name)
	}
	v.header = v.header.Clone()
	v.header.Add("Signature", good)
	assert.Equal(t, "malformed_signature", v.check(signedAt()).Reason, "the same one twice")
	v.header.Del("Signature")
	assert.Equal(t, "missing_signature", v.check(signedAt()).Reason)
}

func TestASignatureIsGoodForFiveMinutesEitherWay(t *testing.T) {
	v := vectors(t)[0]
	const limit = 5 * time.Minute
	for _, off := range []time.Duration{-limit, 0, limit} {
		assert.Nil(t, v.check(signedAt().Add(off)), "%s", off)
	}
	for _, off := range []time.Duration{-limit - 1, limit + 1, -200 * 365 * 24 * time.Hour, 200 * 365 * 24 * time.Hour} {
		d := v.check(signedAt().Add(off))
		require.NotNil(t, d, "%s", off)
		assert.Equal(t, "signature_time", d.Reason)
	}
}

func TestAnotherKeysSignatureIsRefused(t *testing.T) {
	v := vectors(t)[0]
	v.key = newSigner(t).key.Public().(*ecdsa.PublicKey)
	assert.Equal(t, "invalid_signature", v.check(signedAt()).Reason)
}

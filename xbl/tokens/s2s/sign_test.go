package s2s

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/pem"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/invitedhq/invited/xbl/tokens"
)

// vectors were made by hand: see testdata/signatures/make.sh.
var vectors = map[string]struct{ method, path, authorization string }{
	"authenticate": {"POST", "/service/authenticate", ""},
	"invite":       {"POST", "/titles/1739947436/invites/server?a=b&c=%20d", "XBL3.0 x=-;eyJhbGciOi.c2VydmljZQ.dG9rZW4"},
	"long":         {"PUT", "/", "XBL3.0 x=1;t"},
	"empty":        {"GET", "/", "XBL3.0 x=1;t"},
}

func vector(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile("testdata/signatures/" + name)
	require.NoError(t, err)
	return content
}

func TestWhatIsSignedIsWhatWasPutTogetherByHand(t *testing.T) {
	at := time.Date(2026, 12, 24, 20, 0, 0, 123_456_700, time.UTC)
	for name, v := range vectors {
		var b bytes.Buffer
		writeSigned(&b, filetime(at), v.method, v.path, v.authorization, vector(t, name+".body"))
		assert.Equal(t, vector(t, name+".message"), b.Bytes(), name)
	}
}

// verify checks a header as a service does, with the standard library alone.
func verify(t *testing.T, key *ecdsa.PublicKey, header string, message []byte) bool {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(header)
	require.NoError(t, err)
	require.Len(t, raw, 4+8+64)
	assert.Equal(t, message[:4], raw[:4], "the policy's version")
	assert.Equal(t, message[5:13], raw[4:12], "the time")
	digest := sha256.Sum256(message)
	return ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(raw[12:44]), new(big.Int).SetBytes(raw[44:]))
}

func TestSignaturesAreAsThoseOfOpenssl(t *testing.T) {
	block, _ := pem.Decode(vector(t, "public.pem"))
	public, err := x509.ParsePKIXPublicKey(block.Bytes)
	require.NoError(t, err)
	key, err := newProofKey()
	require.NoError(t, err)
	var clock tokens.Clock
	clock.Heard(time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC))
	s := &signer{key, &clock}
	for name, v := range vectors {
		message := vector(t, name+".message")
		assert.True(t, verify(t, public.(*ecdsa.PublicKey), string(vector(t, name+".header")), message), "%s: of openssl", name)

		header, at, err := s.Sign(v.method, v.path, v.authorization, vector(t, name+".body"))
		require.NoError(t, err)
		assert.Equal(t, 2050, at.UTC().Year(), "by the service's clock")
		binary.BigEndian.PutUint64(message[5:], filetime(at))
		assert.True(t, verify(t, &key.private.PublicKey, header, message), "%s: ours", name)
		message[len(message)-1]++
		assert.False(t, verify(t, &key.private.PublicKey, header, message), "%s: of anything else", name)
	}
}

func TestAFiletimeCountsFrom1601(t *testing.T) {
	assert.Zero(t, filetime(time.Date(1601, 1, 1, 0, 0, 0, 0, time.UTC)))
	assert.Equal(t, uint64(116444736000000000), filetime(time.Unix(0, 0)))
	assert.Equal(t, uint64(116444736000000001), filetime(time.Unix(0, 199)))
}

func BenchmarkSign(b *testing.B) {
	key, err := newProofKey()
	require.NoError(b, err)
	s := &signer{key, new(tokens.Clock)}
	body := bytes.Repeat([]byte("x"), 500)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := s.Sign("POST", "/titles/1/invites", "XBL3.0 x=-;t", body); err != nil {
			b.Fatal(err)
		}
	}
}

package s2s

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"io"
	"time"

	"github.com/invitedhq/invited/xbl"
	"github.com/invitedhq/invited/xbl/tokens"
)

const (
	policyVersion = 1
	// maxSignedBody is how much of a body is signed: the policy's limit.
	maxSignedBody = 8192
)

// signer signs requests with the proof key, by the service's clock. Any goroutine may use it.
type signer struct {
	key   *proofKey
	clock *tokens.Clock
}

var _ xbl.Signer = (*signer)(nil)

// Sign implements xbl.Signer.
func (s *signer) Sign(method, pathAndQuery, authorization string, body []byte) (string, time.Time, error) {
	now := s.clock.Now()
	at := filetime(now)
	h := sha256.New()
	writeSigned(h, at, method, pathAndQuery, authorization, body)
	signature, err := signDigest(s.key.private, h)
	if err != nil {
		return "", time.Time{}, err
	}
	header := binary.BigEndian.AppendUint32(make([]byte, 0, 4+8+len(signature)), policyVersion)
	header = binary.BigEndian.AppendUint64(header, at)
	return base64.StdEncoding.EncodeToString(append(header, signature...)), now, nil
}

// Heard implements xbl.Signer.
func (s *signer) Heard(date time.Time) { s.clock.Heard(date) }

// writeSigned writes what is signed: each part is followed by a zero byte. w takes all that it is given.
func writeSigned(w io.Writer, at uint64, method, pathAndQuery, authorization string, body []byte) {
	part := func(b []byte) {
		_, _ = w.Write(b)
		_, _ = w.Write([]byte{0})
	}
	part(binary.BigEndian.AppendUint32(nil, policyVersion))
	part(binary.BigEndian.AppendUint64(nil, at))
	part([]byte(method))
	part([]byte(pathAndQuery))
	part([]byte(authorization))
	part(body[:min(len(body), maxSignedBody)])
}

// signDigest makes r and s, 32 bytes each.
func signDigest(key *ecdsa.PrivateKey, h hash.Hash) ([]byte, error) {
	r, s, err := ecdsa.Sign(rand.Reader, key, h.Sum(nil))
	if err != nil {
		return nil, err
	}
	const size = 32
	signature := make([]byte, 2*size)
	r.FillBytes(signature[:size])
	s.FillBytes(signature[size:])
	return signature, nil
}

// filetime is a time in units of 100 ns since 1601.
func filetime(t time.Time) uint64 {
	const (
		perSecond  = 10_000_000
		until1970s = 11_644_473_600
	)
	return uint64(t.Unix()+until1970s)*perSecond + uint64(t.Nanosecond()/100)
}

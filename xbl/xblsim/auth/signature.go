package auth

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"math/big"
	"net/http"
	"time"
)

const (
	policyVersion = 1
	// A signature is 4 bytes of policy version, 8 of time, and r and s of 32 bytes each. All numbers are big endian.
	signatureLength = 4 + 8 + 32 + 32
)

// signature is a header Signature taken apart.
type signature struct {
	policy   uint32
	filetime uint64 // 100 ns since 1601
	r, s     *big.Int
}

// parseSignature reads a header's value, of which there is only one spelling.
func parseSignature(header string) (signature, error) {
	// DecodeString skips line breaks, so the length is looked at on both sides.
	if want := base64.StdEncoding.EncodedLen(signatureLength); len(header) != want {
		return signature{}, fmt.Errorf("Signature: %d characters long instead of %d", len(header), want)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(header)
	if err != nil || len(raw) != signatureLength {
		return signature{}, fmt.Errorf("Signature: no base64 of %d bytes", signatureLength)
	}
	return signature{
		policy:   binary.BigEndian.Uint32(raw),
		filetime: binary.BigEndian.Uint64(raw[4:]),
		r:        new(big.Int).SetBytes(raw[12:44]),
		s:        new(big.Int).SetBytes(raw[44:]),
	}, nil
}

// time returns when the signature says that it was made.
func (sig signature) time() time.Time {
	const (
		ticks      = uint64(time.Second / 100)
		from1601   = 11_644_473_600 // seconds to 1970
		tickLength = 100            // nanoseconds
	)
	return time.Unix(int64(sig.filetime/ticks)-from1601, int64(sig.filetime%ticks)*tickLength).UTC()
}

// signs reports whether the key's owner signed this request. Each part ends with a zero byte.
func (sig signature) signs(key *ecdsa.PublicKey, r *http.Request, authorization string, body []byte) bool {
	h := sha256.New()
	part(h, binary.BigEndian.AppendUint32(nil, sig.policy))
	part(h, binary.BigEndian.AppendUint64(nil, sig.filetime))
	part(h, []byte(r.Method))
	part(h, []byte(target(r)))
	part(h, []byte(authorization))
	part(h, body)
	return ecdsa.Verify(key, h.Sum(nil), sig.r, sig.s)
}

func part(h hash.Hash, b []byte) {
	_, _ = h.Write(b) // a hash takes everything
	_, _ = io.WriteString(h, "\x00")
}

// target returns path and query as they were sent, before anything is unescaped.
func target(r *http.Request) string {
	if r.RequestURI != "" {
		return r.RequestURI
	}
	return r.URL.RequestURI() // a request that never was on a wire
}

// checkSignature says what is wrong with the request's Signature, or nil. now is the service's clock.
func (s *Service) checkSignature(r *http.Request, key *ecdsa.PublicKey, authorization string, body []byte, now time.Time) *Denial {
	headers := r.Header.Values("Signature")
	switch len(headers) {
	case 0:
		return unsigned("missing_signature", "Signature: missing, and the token is bound to a proof key")
	case 1:
	default:
		return unsigned("malformed_signature", fmt.Sprintf("Signature: given %d times instead of once", len(headers)))
	}
	sig, err := parseSignature(headers[0])
	if err != nil {
		return unsigned("malformed_signature", err.Error())
	}
	if sig.policy != policyVersion {
		return unsigned("signature_policy", fmt.Sprintf("Signature: policy version %d instead of %d", sig.policy, policyVersion))
	}
	if at := sig.time(); at.Before(now.Add(-s.options.Skew)) || at.After(now.Add(s.options.Skew)) {
		return unsigned("signature_time", fmt.Sprintf("Signature: made at %s, and it is %s; more than %s apart",
			at.Format(time.RFC3339), now.UTC().Format(time.RFC3339), s.options.Skew))
	}
	if !sig.signs(key, r, authorization, body[:min(len(body), s.options.MaxBody)]) {
		return unsigned("invalid_signature", fmt.Sprintf("Signature: not made with the proof key over policy version, time, method, "+
			"path and query, Authorization and the first %d bytes of the body, a zero byte after each", s.options.MaxBody))
	}
	return nil
}

package auth

import (
	"bytes"
	"crypto/ecdsa"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"
)

// CheckSignature is checkSignature without a service's state.
func CheckSignature(r *http.Request, key *ecdsa.PublicKey, authorization string, body []byte, now time.Time) *Denial {
	s := &Service{options: Options{}.withDefaults()}
	return s.checkSignature(r, key, authorization, body, now)
}

// SignatureTime returns the time that a header tells.
func SignatureTime(header string) (time.Time, error) {
	sig, err := parseSignature(header)
	return sig.time(), err
}

// ParseProofKey reads a JSON web key.
func ParseProofKey(text []byte) (*ecdsa.PublicKey, error) {
	var k proofKey
	if err := json.UnmarshalRead(bytes.NewReader(text), &k, json.RejectUnknownMembers(true)); err != nil {
		return nil, err
	}
	return k.public()
}

// Tokens returns how many tokens are remembered.
func (s *Service) Tokens() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.services.tokens) + len(s.accesses.tokens) + len(s.delegations.tokens)
}

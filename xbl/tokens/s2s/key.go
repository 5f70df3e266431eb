package s2s

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"fmt"
)

// proofKey is the key that the process proves itself with.
type proofKey struct {
	private *ecdsa.PrivateKey
	public  jwk
}

// jwk is the public half, as the auth service wants to be told it.
type jwk struct {
	Alg string `json:"alg"`
	Kty string `json:"kty"`
	Use string `json:"use"`
	Crv string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
}

func newProofKey() (*proofKey, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a proof key: %w", err)
	}
	point, err := private.PublicKey.Bytes() // 4, x, y
	if err != nil {
		return nil, fmt.Errorf("making a proof key: %w", err)
	}
	const size = 32
	return &proofKey{private, jwk{
		Alg: "ES256", Kty: "EC", Use: "sig", Crv: "P-256",
		X: base64.RawURLEncoding.EncodeToString(point[1 : 1+size]),
		Y: base64.RawURLEncoding.EncodeToString(point[1+size:]),
	}}, nil
}

package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/base64"
	"errors"
	"fmt"
)

// proofKey is a public key as a JSON web key. A field beside these is refused, above all d, the private half.
type proofKey struct {
	Algorithm string `json:"alg"`
	Type      string `json:"kty"`
	Use       string `json:"use"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

func (k proofKey) public() (*ecdsa.PublicKey, error) {
	for _, field := range []struct{ name, value, want string }{
		{"alg", k.Algorithm, "ES256"}, {"kty", k.Type, "EC"}, {"use", k.Use, "sig"}, {"crv", k.Curve, "P-256"},
	} {
		if field.value != field.want {
			return nil, fmt.Errorf("Properties/ProofKey/%s: %.40q instead of %s", field.name, field.value, field.want)
		}
	}
	point := []byte{4} // uncompressed
	for _, field := range []struct{ name, value string }{{"x", k.X}, {"y", k.Y}} {
		coordinate, err := base64.RawURLEncoding.Strict().DecodeString(field.value)
		// The length of the text too: the decoder skips line breaks.
		if err != nil || len(coordinate) != 32 || len(field.value) != 43 {
			return nil, fmt.Errorf("Properties/ProofKey/%s: no base64url, without padding, of 32 bytes", field.name)
		}
		point = append(point, coordinate...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("Properties/ProofKey: the point is not on the curve P-256")
	}
	return key, nil
}

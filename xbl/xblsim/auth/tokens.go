package auth

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"strconv"
	"time"
)

// digest stands for a token wherever one is kept, so that no token is.
type digest [sha256.Size]byte

// client is who the limits count: the SHA-256 of a Business Partner certificate. Zero is nobody in particular.
type client [sha256.Size]byte

// token is what is known of one that was issued: an S-token, an access token or a delegation token.
type token struct {
	client   client           // S-token: whose certificate it was issued for
	key      *ecdsa.PublicKey // S-token, access token: the proof key it is bound to
	xuid     uint64           // access token, delegation token: whose; 0: a service's own
	userHash string           // access token: "-" for a service's own
	notAfter time.Time
	revoked  bool
}

// register is all tokens of one kind. It is not safe for concurrent use.
type register struct {
	tokens  map[digest]*token
	sweepAt int
}

// An ended token is remembered this long, for it to be refused as ended and not as unknown.
const remembered = time.Hour

const minSweep = 1024

// issue makes up a token.
func (g *register) issue(prefix string, t token, now time.Time) string {
	if len(g.tokens) >= max(g.sweepAt, minSweep) {
		g.sweep(now)
	}
	text := prefix + rand.Text()
	g.tokens[sha256.Sum256([]byte(text))] = &t
	return text
}

func (g *register) sweep(now time.Time) {
	for d, t := range g.tokens {
		if now.Sub(t.notAfter) > remembered {
			delete(g.tokens, d)
		}
	}
	g.sweepAt = 2 * len(g.tokens)
}

// find returns the token as it is now.
func (g *register) find(text string) (t token, found bool) {
	known := g.tokens[sha256.Sum256([]byte(text))]
	if known == nil {
		return token{}, false
	}
	return *known, true
}

// expire ends all tokens that have not ended.
func (g *register) expire(now time.Time) (ended int) {
	for _, t := range g.tokens {
		if t.notAfter.After(now) {
			t.notAfter = now
			ended++
		}
	}
	return ended
}

// revoke takes back the tokens of a user, or with 0 those of nobody in particular.
func (g *register) revoke(xuid uint64) (revoked int) {
	for _, t := range g.tokens {
		if t.xuid == xuid && !t.revoked {
			t.revoked = true
			revoked++
		}
	}
	return revoked
}

// userHash is a number that stands for a user, the same each time.
func userHash(xuid uint64) string {
	sum := sha256.Sum256([]byte("user hash of " + strconv.FormatUint(xuid, 10)))
	n := uint64(0)
	for _, b := range sum[:7] {
		n = n<<8 | uint64(b)
	}
	return strconv.FormatUint(n, 10)
}

package pending

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"

	"github.com/quis-idp/quis/fsm"
)

// Tables are the tables of this room.
var Tables = []fsm.Definition{invitations, changes}

const secretSize = 32 // random bytes

// newSecret returns a secret that is safe in a URL, and its hash.
func newSecret() (secret string, hash []byte) {
	b := make([]byte, secretSize)
	rand.Read(b)
	secret = base64.RawURLEncoding.EncodeToString(b)
	return secret, hashOf(secret)
}

func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// wellFormed keeps anything else from costing a look-up.
func wellFormed(secret string) bool {
	return len(secret) == base64.RawURLEncoding.EncodedLen(secretSize)
}

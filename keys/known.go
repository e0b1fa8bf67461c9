package keys

import (
	"crypto/sha256"
	"sync"
)

// maxKnown is how many verified tokens a generation remembers; there are two, of 32
// bytes an entry: at most about a megabyte.
const maxKnown = 8192

// known remembers which tokens this node has verified, so that a token that is shown
// again and again costs its mathematics once. Only what one of our keys has signed gets
// in: a stranger cannot fill it. It says nothing of the key, which is looked for before.
type known struct {
	mu         sync.Mutex
	young, old map[[sha256.Size]byte]struct{}
}

// verified reports whether the key has signed the token, which check finds out if this
// node does not know. The signature is part of what is remembered.
func (k *known) verified(key *key, token string, check func() bool) bool {
	b := append(make([]byte, 0, kidLength+len(token)), key.kid...) // of fixed length
	sum := sha256.Sum256(append(b, token...))
	k.mu.Lock()
	_, young := k.young[sum]
	_, old := k.old[sum]
	k.mu.Unlock()
	if young || old {
		return true
	}
	if !check() {
		return false
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.young == nil || len(k.young) >= maxKnown {
		k.young, k.old = make(map[[sha256.Size]byte]struct{}), k.young
	}
	k.young[sum] = struct{}{}
	return true
}

package dpop

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxSeen is how many proofs one half of the memory holds: 16 bytes each and the map's own.
const maxSeen = 1 << 17

// memory knows which proofs this node has taken. It has two halves: a proof is noted in
// the young one, which becomes the old one after the time that a proof is good for. If
// the young one is full before, it becomes the old one early: somebody who sends
// thousands of valid proofs a second shortens the memory, and does not end the service.
type memory struct {
	mu         sync.Mutex
	most       int
	life       time.Duration
	young, old map[[16]byte]struct{}
	began      time.Time // of the young half
}

func newMemory(most int, life time.Duration) *memory {
	return &memory{most: most, life: life, young: map[[16]byte]struct{}{}}
}

// first notes a proof and reports whether it was not known. Proofs of different keys may have the same jti.
func (m *memory) first(key, id string, now time.Time) bool {
	sum := sha256.Sum256([]byte(key + "\x00" + id))
	k := [16]byte(sum[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	if age := now.Sub(m.began); age > m.life || len(m.young) >= m.most {
		m.old, m.young, m.began = m.young, make(map[[16]byte]struct{}), now
		if age > 2*m.life {
			m.old = nil
		}
	}
	if _, known := m.young[k]; known {
		return false
	}
	if _, known := m.old[k]; known {
		return false
	}
	m.young[k] = struct{}{}
	return true
}

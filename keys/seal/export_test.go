package seal

import (
	"context"
	"encoding/hex"
	"time"
)

// SetClock makes r read the time from now.
func (r *Ring) SetClock(now func() time.Time) { r.now = now }

// CountCatchUps makes r call f before each question to the leader.
func (r *Ring) CountCatchUps(every time.Duration, f func()) {
	r.catchUp = NewThrottle(every, func(ctx context.Context) error {
		f()
		return CatchUp(r.db)(ctx)
	})
}

// XAESSeal seals with a given key and nonce, for the published vectors.
func XAESSeal(key [32]byte, nonce, plaintext, aad []byte) string {
	return hex.EncodeToString(newXAES(key).Seal(nil, nonce, plaintext, aad))
}

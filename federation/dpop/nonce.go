package dpop

import (
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/keys/seal"
)

const (
	noncePurpose = "dpop nonce"
	// nonceLife is how long a nonce is handed out. It is taken as long again.
	nonceLife  = time.Minute
	nonceMAC   = 16
	nonceBytes = 8 + 4 + nonceMAC // number of its minute, sealing key, MAC
)

var nonceText = base64.RawURLEncoding.Strict()

// Nonce returns the nonce of this minute. It is the same for everybody, since what it
// proves is only that a proof was made now.
func (v *Verifier) Nonce(tenant string) (string, error) {
	return v.nonce(tenant, v.minute(), v.ring.CurrentKey())
}

func (v *Verifier) minute() int64 { return v.now().UnixNano() / int64(nonceLife) }

func (v *Verifier) nonce(tenant string, minute int64, key uint32) (string, error) {
	b := make([]byte, 0, 128)
	b = binary.BigEndian.AppendUint64(b, uint64(minute))
	b = binary.BigEndian.AppendUint32(b, key)
	mac, err := v.ring.MAC(v.ring.Passing(noncePurpose), key, append(b, tenant...))
	if err != nil {
		return "", fmt.Errorf("DPoP nonce: %w", err)
	}
	return nonceText.EncodeToString(append(b[:12], mac[:nonceMAC]...)), nil
}

// goodNonce reports whether text is a nonce of this minute, the one before, or the next,
// since clocks of nodes differ; current, whether it is not the one before.
func (v *Verifier) goodNonce(tenant, text string) (ok, current bool, err error) {
	if len(text) != nonceText.EncodedLen(nonceBytes) {
		return false, false, nil
	}
	b, err := nonceText.DecodeString(text)
	if err != nil || len(b) != nonceBytes {
		return false, false, nil
	}
	minute, now := int64(binary.BigEndian.Uint64(b)), v.minute()
	if minute < now-1 || minute > now+1 {
		return false, false, nil
	}
	want, err := v.nonce(tenant, minute, binary.BigEndian.Uint32(b[8:]))
	if errors.Is(err, seal.ErrBox) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	return subtle.ConstantTimeCompare([]byte(text), []byte(want)) == 1, minute >= now, nil
}

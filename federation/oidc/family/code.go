package family

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	codePurpose  = "oidc code"
	codeLifetime = 60 * time.Second

	// MaxCode is how long the text of a code may be, in bytes.
	MaxCode = 6 << 10
)

// A Code is what an authorization code carries, sealed: a grant, and what whoever
// exchanges it must know.
type Code struct {
	Grant
	RedirectURI string `cbor:"2,keyasint,omitempty"`  // as sent
	Challenge   []byte `cbor:"7,keyasint,omitempty"`  // S256, decoded
	Issued      int64  `cbor:"11,keyasint,omitempty"` // Unix milliseconds

	epoch seal.Epoch // that it was opened in
}

// codeContext binds a code to its tenant and client: for anybody else's it does not even open.
func codeContext(tenant, clientID string) []byte { return []byte(tenant + "\x00" + clientID) }

// SealCode returns the text of a code for one client.
func SealCode(ring *seal.Ring, tenant, clientID string, c *Code) (string, error) {
	plain, err := cbor.Marshal(c)
	if err != nil {
		return "", fmt.Errorf("code: %w", err)
	}
	box, err := ring.Seal(ring.Passing(codePurpose), plain, codeContext(tenant, clientID))
	if err != nil {
		return "", fmt.Errorf("code: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(box), nil
}

// OpenCode reports seal.ErrBox for what is no code of this client, and errors of the store.
func OpenCode(ring *seal.Ring, tenant, clientID, text string) (*Code, error) {
	if len(text) > MaxCode {
		return nil, fmt.Errorf("code of %d bytes: %w", len(text), seal.ErrBox)
	}
	box, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("code: %w", seal.ErrBox)
	}
	epoch := ring.Epoch()
	plain, err := ring.Open(ring.Passing(codePurpose), box, codeContext(tenant, clientID))
	if err != nil {
		return nil, fmt.Errorf("code: %w", err)
	}
	var c Code
	if err := cbor.Unmarshal(plain, &c); err != nil {
		return nil, fmt.Errorf("code: %w", seal.ErrBox)
	}
	c.epoch = epoch
	return &c, nil
}

// Start is how a family begins of this code.
func (c *Code) Start(arrived time.Time) Start {
	return Start{Grant: c.Grant, By: federation.GrantCode, What: "code", Epoch: c.epoch, Arrived: arrived, Check: func(tx *fsm.Tx) error {
		if c.expired(tx.Now()) {
			return fmt.Errorf("code is too old: %w", ErrDead)
		}
		return nil
	}}
}

// expired reports whether the code's time is over. Clocks of nodes may differ by a few seconds either way.
func (c *Code) expired(now time.Time) bool {
	age := now.Sub(time.UnixMilli(c.Issued))
	return age > codeLifetime || age < -codeLifetime
}

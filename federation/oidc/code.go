package oidc

import (
	"encoding/base64"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/keys/seal"
)

const (
	codePurpose  = "oidc code"
	codeLifetime = 60 * time.Second
	maxCode      = 6 << 10 // bytes of text
)

// A grantCode is what an authorization code carries, sealed. Nothing of it is
// stored before the code is exchanged.
type grantCode struct {
	Family      familyID `cbor:"1,keyasint,omitempty"`
	RedirectURI string   `cbor:"2,keyasint,omitempty"` // as sent
	Scope       []string `cbor:"3,keyasint,omitempty"`
	UserID      string   `cbor:"4,keyasint,omitempty"`
	SessionID   string   `cbor:"5,keyasint,omitempty"`
	Nonce       string   `cbor:"6,keyasint,omitempty"`
	Challenge   []byte   `cbor:"7,keyasint,omitempty"` // S256, decoded
	AuthTime    int64    `cbor:"8,keyasint,omitempty"` // Unix seconds
	AMR         []string `cbor:"9,keyasint,omitempty"`
	ACR         string   `cbor:"10,keyasint,omitempty"`
	Issued      int64    `cbor:"11,keyasint,omitempty"` // Unix milliseconds
	Index       uint64   `cbor:"12,keyasint,omitempty"` // log index of the state that it was given by

	epoch seal.Epoch // that it was opened in
}

// codeContext binds a code to its tenant and client: for anybody else's it does not even open.
func codeContext(tenant, clientID string) []byte { return []byte(tenant + "\x00" + clientID) }

func sealCode(ring *seal.Ring, tenant, clientID string, c *grantCode) (string, error) {
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

// openCode reports seal.ErrBox for what is no code of this client, and errors of the store.
func openCode(ring *seal.Ring, tenant, clientID, text string) (*grantCode, error) {
	if len(text) > maxCode {
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
	var c grantCode
	if err := cbor.Unmarshal(plain, &c); err != nil {
		return nil, fmt.Errorf("code: %w", seal.ErrBox)
	}
	c.epoch = epoch
	return &c, nil
}

// expired reports whether the code's time is over. Clocks of nodes may differ by a few seconds either way.
func (c *grantCode) expired(now time.Time) bool {
	age := now.Sub(time.UnixMilli(c.Issued))
	return age > codeLifetime || age < -codeLifetime
}

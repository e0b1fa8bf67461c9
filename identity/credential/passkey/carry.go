package passkey

import (
	"encoding/base64"
	"errors"
	"fmt"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

const carryPurpose = "passkey registration"

// Carry seals the session of a registration for the form that it travels in. whose is whom it
// belongs to, such as the person's own session: with nobody else's is it opened again.
func Carry(ring *seal.Ring, session []byte, whose string) (string, error) {
	box, err := ring.Seal(carryPurpose, session, []byte(whose))
	if err != nil {
		return "", fmt.Errorf("seal passkey ceremony: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(box), nil
}

// Carried opens what Carry has sealed. It reports identity.ErrInvalid, in a person's words, for
// anything else.
func Carried(ring *seal.Ring, sealed, whose string) ([]byte, error) {
	box, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(box) > 2*MaxSession {
		return nil, refuse(registering, sentenceAgain, errCeremony)
	}
	session, err := ring.Open(carryPurpose, box, []byte(whose))
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, seal.ErrSealed) {
		return nil, fmt.Errorf("open passkey ceremony: %w", err)
	}
	if err != nil {
		return nil, refuse(registering, sentenceAgain, errCeremony)
	}
	return session, nil
}

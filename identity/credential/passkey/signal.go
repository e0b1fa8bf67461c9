package passkey

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// Signals is what a browser is told after a change, so that the passkeys it offers are those
// that work, under names that are right (WebAuthn L3 §5.1.10): the JSON arguments of
// signalAllAcceptedCredentials and signalCurrentUserDetails. Both are nil for a user who
// never had a passkey. Give them to the user's own, signed-in browser only.
func Signals(tx *fsm.Tx, t identity.Tenant, u *directory.User) (accepted, details []byte, err error) {
	rpID, err := RPID(t.Issuer)
	if err != nil {
		return nil, nil, err
	}
	handle, err := handleOf(tx, t.ID, u.ID)
	if err != nil || handle == nil {
		return nil, nil, err
	}
	ids := []protocol.URLEncodedBase64{}
	for k, err := range List(tx, t.ID, u.ID) {
		if err != nil {
			return nil, nil, err
		}
		ids = append(ids, k.CredentialID)
	}
	accepted, err = json.Marshal(protocol.SignalAllAcceptedCredentials{RPID: rpID, UserID: handle, AllAcceptedCredentialIDs: ids})
	if err != nil {
		return nil, nil, fmt.Errorf("signals: %w", err)
	}
	display := u.Name
	if display == "" {
		display = u.Username
	}
	details, err = json.Marshal(protocol.SignalCurrentUserDetails{RPID: rpID, UserID: handle, Name: u.Username, DisplayName: display})
	return accepted, details, err
}

// Unknown returns the JSON argument of signalUnknownCredential if err, of Finish, says that
// the passkey which answered is nobody's in this house: the browser should forget it.
func Unknown(err error) (signal []byte, ok bool) {
	var e *unknownError
	if !errors.As(err, &e) {
		return nil, false
	}
	b, err := json.Marshal(protocol.SignalUnknownCredential{RPID: e.rpID, CredentialID: e.id})
	return b, err == nil
}

type unknownError struct {
	refusal
	rpID string
	id   []byte
}

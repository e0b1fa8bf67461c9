package passkey

import (
	"errors"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/quis-idp/quis/fsm"
)

// again looks up what the passkey was attested with, if that has to be verified again: it did not
// hold so far, and its model is described by metadata by which it has not been judged. Which
// those were is kept with the passkey, so each import costs each passkey one verification.
func (f *file) again(tx *fsm.Tx) error {
	k := f.passkey
	if k.Attested || f.model == nil || f.bar != "" && f.bar != Unproved || k.Judged == f.judged || k.Format == string(protocol.AttestationFormatNone) {
		return nil
	}
	e, err := evidences.Get(tx, fsm.Global, keyOf(k.CredentialID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	f.evidence = e
	return err
}

// attested reports whether the metadata in use describe the passkey's model and its attestation
// holds, or has held. That its model was not proved is held against it no more if it is.
func (f *file) attested() (bool, error) {
	if f.evidence == nil {
		return f.passkey.Attested && f.model != nil, nil
	}
	holds, err := f.model.vouches(f.passkey, f.evidence.credential(f.passkey))
	if holds && f.bar == Unproved {
		f.bar = ""
	}
	return holds, err
}

// makes is what the metadata call the passkey's model, if that was not known.
func (f *file) makes() string {
	if f.model == nil || f.passkey.Make != "" {
		return ""
	}
	return f.model.Description
}

// credential is the passkey as it was registered, as the library verifies it.
func (e *evidence) credential(k *Passkey) *webauthn.Credential {
	return &webauthn.Credential{
		ID: k.CredentialID, PublicKey: k.PublicKey, Transport: transports(k.Transports),
		AttestationType: k.AttestationType, AttestationFormat: k.Format,
		Attestation: webauthn.CredentialAttestation{Object: e.Object, ClientDataJSON: e.ClientData},
	}
}

package passkey

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// BeginRegistration returns what u's browser needs to make a passkey for the house called
// name (the JSON of PublicKeyCredential.parseCreationOptionsFromJSON), and the session for
// Register. It must be one that signs in without a username (a discoverable one), or, unless
// resident, may be a security key that cannot keep it. It only reads. It reports identity.ErrInvalid where passkeys cannot work (see
// RPID), and when u has as many as are allowed.
func BeginRegistration(tx *fsm.Tx, t identity.Tenant, name string, p settings.Passkey, u *directory.User, resident bool) (options, session []byte, err error) {
	residence := protocol.ResidentKeyRequirementRequired
	if !resident {
		residence = protocol.ResidentKeyRequirementPreferred
	}
	return begin(tx, t, name, p, u, registration{residence: residence})
}

// BeginKey is BeginRegistration for a security key that is asked for after another factor, and
// so need not verify its user nor keep anything: one of U2F, or one of FIDO 2 without a PIN. What
// is made so is one factor for ever: whoever finds the key could give it a PIN of their own.
func BeginKey(tx *fsm.Tx, t identity.Tenant, name string, p settings.Passkey, u *directory.User) (options, session []byte, err error) {
	p.UserVerification = string(protocol.VerificationDiscouraged)
	return begin(tx, t, name, p, u, registration{residence: protocol.ResidentKeyRequirementDiscouraged, key: true})
}

// BeginUnasked is BeginRegistration for a browser that may make the passkey without asking, right
// after it has filled in a password (mediation conditional). Then nobody need have touched
// anything (WebAuthn L3 §7.1 step 15), and so nothing is vouched for; see Unasked.
func BeginUnasked(tx *fsm.Tx, t identity.Tenant, name string, p settings.Passkey, u *directory.User) (options, session []byte, err error) {
	return begin(tx, t, name, p, u, registration{residence: protocol.ResidentKeyRequirementRequired, unasked: true})
}

// Unasked reports whether passkeys that were made without asking can be what p wants: nobody
// vouches for them, and as a rule they are synced.
func Unasked(p settings.Passkey) bool {
	return (p.Attestation == "" || p.Attestation == "none") && len(p.Allow) == 0 && !p.RequireAttested && !p.ForbidSynced
}

// A registration is what kind of credential is asked for.
type registration struct {
	residence    protocol.ResidentKeyRequirement
	unasked, key bool // at most one of them
}

func begin(tx *fsm.Tx, t identity.Tenant, name string, p settings.Passkey, u *directory.User, kind registration) (options, session []byte, err error) {
	c, err := newCeremony(registering, t, p, tx.Now())
	if err != nil {
		return nil, nil, err
	}
	c.UserID = u.ID
	c.Keys = kind.key
	if kind.unasked { // it is verified when it is used first beside another factor
		c.Unasked, c.Verify, p.UserVerification = true, false, ""
	}
	if c.Handle, err = handleOf(tx, t.ID, u.ID); err != nil {
		return nil, nil, err
	}
	if c.Handle == nil { // stored by Register, so that beginning costs nothing
		c.Handle = make([]byte, handleSize)
		rand.Read(c.Handle)
	}
	var own webauthn.Credentials
	for k, err := range List(tx, t.ID, u.ID) {
		if err != nil {
			return nil, nil, err
		}
		own = append(own, k.credential())
	}
	if len(own) >= maxPasskeys {
		return nil, nil, tooMany()
	}
	options, err = c.creation(name, p, u, kind.residence, own)
	if err != nil {
		return nil, nil, fmt.Errorf("passkey options: %w", err)
	}
	session, err = c.session()
	return options, session, err
}

func tooMany() error {
	return identity.Invalid("", "You have as many passkeys as are allowed. Remove one that you do not use any more.")
}

func (c *ceremony) creation(name string, p settings.Passkey, u *directory.User, residence protocol.ResidentKeyRequirement, own webauthn.Credentials) ([]byte, error) {
	rp, err := c.relyingParty(name)
	if err != nil {
		return nil, err
	}
	display := u.Name
	if display == "" {
		display = u.Username
	}
	conveyance := protocol.PreferNoAttestation
	if p.Attestation != "" {
		conveyance = protocol.ConveyancePreference(p.Attestation)
	}
	made, _, err := rp.BeginRegistration(account{handle: c.Handle, name: u.Username, display: display},
		webauthn.WithExclusions(own.CredentialDescriptors()),
		webauthn.WithExtensions(webauthn.WithExtensionCredProps()),
		webauthn.WithConveyancePreference(conveyance),
		func(o *protocol.PublicKeyCredentialCreationOptions) error {
			o.Challenge, o.Parameters, o.Timeout = c.Challenge, algorithms, int(browserTimeout.Milliseconds())
			o.AuthenticatorSelection = protocol.AuthenticatorSelection{
				ResidentKey: residence, UserVerification: wished(p),
			}
			if residence == protocol.ResidentKeyRequirementRequired {
				o.AuthenticatorSelection.RequireResidentKey = protocol.ResidentKeyRequired() // for browsers of Level 1
			}
			return nil
		})
	if err != nil {
		return nil, err
	}
	return json.Marshal(made.Response)
}

// Register verifies what the browser made of BeginRegistration's options (the JSON of
// PublicKeyCredential.toJSON), and gives userID the passkey. An empty name becomes the
// authenticator's, as the metadata call it. It reports identity.ErrInvalid with a sentence
// for the person, and fsm.ErrExists for a passkey that is registered already.
func Register(tx *fsm.Tx, t identity.Tenant, p settings.Passkey, userID string, session, response []byte, name string) (*Passkey, error) {
	return RegisterNewcomer(tx, t, p, userID, userID, session, response, name)
}

// RegisterNewcomer is Register for somebody who had no account when it was begun: for the ID
// of something else then, of an invitation perhaps, and the user is made in this transaction.
func RegisterNewcomer(tx *fsm.Tx, t identity.Tenant, p settings.Passkey, begunFor, userID string, session, response []byte, name string) (*Passkey, error) {
	c, err := openCeremony(session, registering, t.ID, begunFor, tx.Now())
	if err != nil {
		return nil, err
	}
	made, err := c.created(response)
	if err != nil {
		return nil, err
	}
	k := &Passkey{
		ID: identity.NewID(identity.PrefixPasskey), Tenant: t.ID, UserID: userID,
		CredentialID: made.ID, PublicKey: made.PublicKey, AAGUID: made.Authenticator.AAGUID,
		Transports: knownTransports(made.Transport), Synced: made.Flags.BackupEligible, BackedUp: made.Flags.BackupState,
		UVInitialized: made.Flags.UserVerified && !c.Keys, Second: c.Keys, SignCount: made.Authenticator.SignCount,
		AttestationType: made.AttestationType, Format: made.AttestationFormat,
		Created: tx.Now(), LastChallenge: c.Challenge, Unasked: c.Unasked, Discoverable: made.Extensions.RK,
	}
	described, err := k.attest(tx, made)
	if err != nil {
		return nil, err
	}
	if err := admits(p, k, described); err != nil {
		return nil, err
	}
	if k.Name, err = nameFor(name, k); err != nil {
		return nil, err
	}
	if err := k.store(tx, c.Handle, made); err != nil {
		return nil, err
	}
	return k, appendEvent(tx, event.PasskeyCreated, k, map[string]string{
		"synced": fmt.Sprint(k.Synced), "attested": fmt.Sprint(k.Attested), "user_verification": fmt.Sprint(k.UVInitialized),
	})
}

// created is what the library found to be true.
func (c *ceremony) created(response []byte) (*webauthn.Credential, error) {
	parsed, err := ParseCreation(response)
	if err != nil {
		return nil, refuse(registering, sentenceFailed, err)
	}
	if c.Verify && !parsed.Response.AttestationObject.AuthData.Flags.HasUserVerified() {
		return nil, refuse(registering, sentenceVerify, errors.New("user not verified"))
	}
	made, err := guarded(func() (*webauthn.Credential, error) {
		rp, err := c.relyingParty("quis")
		if err != nil {
			return nil, err
		}
		return rp.CreateCredential(account{handle: c.Handle}, c.data(), parsed)
	})
	if err == nil && (len(made.ID) > maxCredentialID || len(made.Authenticator.AAGUID) != 16) {
		err = errors.New("credential ID or AAGUID of a length that is not allowed")
	}
	if err != nil {
		return nil, refuse(registering, sentenceFailed, err)
	}
	return made, nil
}

// IsKey reports whether session is of a registration begun by BeginKey.
func IsKey(session []byte) bool {
	var c ceremony
	return len(session) <= MaxSession && decoder.Unmarshal(session, &c) == nil && c.Kind == registering && c.Keys
}

// ParseCreation reads a registration's response, of at most MaxResponse bytes.
func ParseCreation(response []byte) (*protocol.ParsedCredentialCreationData, error) {
	if len(response) > MaxResponse {
		return nil, errors.New("response too large")
	}
	return guarded(func() (*protocol.ParsedCredentialCreationData, error) {
		return protocol.ParseCredentialCreationResponseBytes(response)
	})
}

func (k *Passkey) store(tx *fsm.Tx, userHandle []byte, made *webauthn.Credential) error {
	n := 0
	for _, err := range List(tx, k.Tenant, k.UserID) {
		if err != nil {
			return err
		}
		if n++; n >= maxPasskeys {
			return tooMany()
		}
	}
	stored, err := handleOf(tx, k.Tenant, k.UserID)
	switch {
	case err != nil:
		return err
	case stored == nil:
		if err := handles.Insert(tx, &handle{Value: userHandle, Tenant: k.Tenant, UserID: k.UserID}); err != nil {
			return err
		}
	case !bytes.Equal(stored, userHandle): // the user's first two passkeys, begun at once
		return refuse(registering, sentenceAgain, errors.New("another user handle was stored meanwhile"))
	}
	err = passkeys.Insert(tx, k)
	if errors.Is(err, fsm.ErrExists) {
		return identity.Exists("response", "This passkey is registered already.")
	}
	if err != nil || k.Format == string(protocol.AttestationFormatNone) {
		return err
	}
	return evidences.Put(tx, &evidence{
		CredentialID: k.CredentialID, Object: made.Attestation.Object, ClientData: made.Attestation.ClientDataJSON, Tenant: k.Tenant,
	})
}

// knownTransports keeps what a browser says of transports to what there is (WebAuthn L3
// §5.8.4): it is repeated to it at every sign-in.
func knownTransports(said []protocol.AuthenticatorTransport) []string {
	var known []string
	for _, t := range []protocol.AuthenticatorTransport{protocol.USB, protocol.NFC, protocol.BLE, protocol.SmartCard, protocol.Hybrid, protocol.Internal} {
		if slices.Contains(said, t) {
			known = append(known, string(t))
		}
	}
	return known
}

func nameFor(name string, k *Passkey) (string, error) {
	for _, n := range []string{name, k.Make, "Passkey"} {
		if clean, err := cleanName(n); err == nil {
			return clean, nil
		}
	}
	return cleanName(name)
}

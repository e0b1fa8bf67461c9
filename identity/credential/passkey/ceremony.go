package passkey

import (
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/settings"
)

const (
	// Lifetime is how long the two halves of a ceremony may be apart.
	Lifetime = 15 * time.Minute
	// MaxResponse bounds the JSON that a browser sends, in bytes: attestations with their
	// chain of certificates are the largest, at about 8 KiB.
	MaxResponse = 16 << 10
	// MaxSession bounds a session, in bytes: about 150, and more only
	// for related origins.
	MaxSession = 6 << 10

	browserTimeout = 5 * time.Minute // that the browser is asked to give the person
	challengeSize  = 32
	handleSize     = 32
)

// What a ceremony is for.
const (
	registering = 1
	signingIn   = 2
)

// A ceremony is what its second half needs to know of the first.
type ceremony struct {
	Kind      uint8    `cbor:"1,keyasint"`
	Challenge []byte   `cbor:"2,keyasint"`
	Tenant    string   `cbor:"3,keyasint"`
	UserID    string   `cbor:"4,keyasint,omitempty"` // empty: whosever passkey it is
	Handle    []byte   `cbor:"5,keyasint,omitempty"`
	RPID      string   `cbor:"6,keyasint"`
	Origins   []string `cbor:"7,keyasint"`
	Expires   int64    `cbor:"8,keyasint"` // Unix seconds
	Verify    bool     `cbor:"9,keyasint,omitempty"`
	Unasked   bool     `cbor:"10,keyasint,omitempty"` // see BeginUnasked
	Keys      bool     `cbor:"11,keyasint,omitempty"` // registering: a security key is made (BeginKey); signing in: one may answer, see Begin
}

var decoder = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, IndefLength: cbor.IndefLengthForbidden,
		MaxNestedLevels: 4, MaxArrayElements: 64, MaxMapPairs: 64,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func newCeremony(kind uint8, t identity.Tenant, p settings.Passkey, now time.Time) (*ceremony, error) {
	rpID, err := RPID(t.Issuer)
	if err != nil {
		return nil, err
	}
	c := &ceremony{
		Kind: kind, Challenge: make([]byte, challengeSize), Tenant: t.ID, RPID: rpID,
		Origins: slices.Concat([]string{originOf(t.Issuer)}, p.RelatedOrigins),
		Expires: now.Add(Lifetime).Unix(), Verify: p.UserVerification == "required",
	}
	rand.Read(c.Challenge)
	return c, nil
}

func (c *ceremony) session() ([]byte, error) {
	b, err := cbor.Marshal(c)
	if err == nil && len(b) > MaxSession {
		err = errors.New("session too large")
	}
	if err != nil {
		return nil, fmt.Errorf("passkey: %w", err)
	}
	return b, nil
}

var errCeremony = errors.New("not a session of this ceremony")

// openCeremony reads what session wrote. The caller's flow has sealed it; what does not
// fit is a fault of ours or a mix-up of flows, and refused alike.
func openCeremony(session []byte, kind uint8, tenant, userID string, now time.Time) (*ceremony, error) {
	var c ceremony
	if len(session) > MaxSession {
		return nil, refuse(kind, sentenceAgain, errCeremony)
	}
	if err := decoder.Unmarshal(session, &c); err != nil {
		return nil, refuse(kind, sentenceAgain, fmt.Errorf("%w: %w", errCeremony, err))
	}
	if c.Kind != kind || c.Tenant != tenant || tenant == "" || c.UserID != userID || len(c.Challenge) != challengeSize {
		return nil, refuse(kind, sentenceAgain, errCeremony)
	}
	if now.Unix() >= c.Expires {
		return nil, refuse(kind, sentenceAgain, errors.New("the ceremony has expired"))
	}
	return &c, nil
}

// relyingParty is the library's view of the ceremony. It holds nothing but its
// configuration, so one is made for each.
func (c *ceremony) relyingParty(name string) (*webauthn.WebAuthn, error) {
	return webauthn.New(&webauthn.Config{RPID: c.RPID, RPDisplayName: name, RPOrigins: c.Origins})
}

// data is the library's session. Our own expiry has been looked at: its clock is not the state's.
func (c *ceremony) data() webauthn.SessionData {
	d := webauthn.SessionData{
		Challenge: protocol.URLEncodedBase64(c.Challenge).String(), RelyingPartyID: c.RPID, UserID: c.Handle,
		UserVerification: c.verification(),
	}
	if c.Kind == registering {
		d.CredParams = algorithms
		d.Extensions = protocol.SessionExtensions{Requested: []string{"credProps"}}
		if c.Unasked {
			d.Mediation = protocol.MediationConditional
		}
	}
	return d
}

func (c *ceremony) verification() protocol.UserVerificationRequirement {
	if c.Verify && !(c.Keys && c.Kind == signingIn) { // Finish asks each by what it is
		return protocol.VerificationRequired
	}
	return protocol.VerificationPreferred
}

// wished is what the browser is told to do about verification.
func wished(p settings.Passkey) protocol.UserVerificationRequirement {
	if p.UserVerification == "" {
		return protocol.VerificationPreferred
	}
	return protocol.UserVerificationRequirement(p.UserVerification)
}

// algorithms are the kinds of keys that may be registered, preferred first.
var algorithms = webauthn.CredentialParametersExtendedL3()

// account is a user as the library wants to see one.
type account struct {
	handle        []byte
	name, display string
	credentials   []webauthn.Credential
}

// WebAuthnID is the user handle.
func (a account) WebAuthnID() []byte { return a.handle }

// WebAuthnName tells accounts apart in the browser's list.
func (a account) WebAuthnName() string { return a.name }

// WebAuthnDisplayName is the person's name.
func (a account) WebAuthnDisplayName() string { return a.display }

// WebAuthnCredentials are those that may answer.
func (a account) WebAuthnCredentials() []webauthn.Credential { return a.credentials }

// What people read. A failed ceremony says little to a stranger; the reason goes to the log.
const (
	sentenceAgain    = "That took too long, or was answered before. Try again."
	sentenceFailed   = "The passkey could not be checked. Try again, or use another way."
	sentenceUnknown  = "This passkey is not known here. It may have been removed. Use another passkey or another way."
	sentenceElse     = "This passkey belongs to another account. Use another one."
	sentenceSecond   = "This security key is asked for after your password. Begin with that."
	sentenceVerify   = "Here a passkey has to ask for your PIN, fingerprint or face, and this one did not. Set that up in the security key's settings, or use another passkey."
	sentenceSuspect  = "There may be a copy of this passkey, so it is not accepted any more. Sign in another way, remove it and add a new one, and tell your administrator."
	sentenceDenied   = "Your organization does not accept this kind of passkey any more. Use another way to sign in, or ask your administrator."
	sentenceUnproved = "Your organization accepts only certain kinds of passkeys, and of which kind this one is was never confirmed. Sign in another way, remove it in your account and add it anew, or ask your administrator."
	sentenceUnsafe   = "This kind of passkey has been reported as unsafe and is not accepted any more. Use another way to sign in, or ask your administrator."
)

// refuse makes an error of the kind that fits the ceremony: whoever registers is told what
// is invalid, whoever signs in has not proven anything. cause is for the log.
func refuse(kind uint8, sentence string, cause error) error {
	told := identity.Unauthenticated(sentence)
	if kind == registering {
		told = identity.Invalid("response", sentence)
	}
	return refuseAs(told, cause)
}

func refuseAs(told *identity.Error, cause error) error {
	if cause == nil {
		return told
	}
	return &refusal{told, identity.Printable(reason(cause), 300)}
}

// A refusal is an identity.Error with its reason, as text: what the library wraps could be
// taken for something else by whoever asks what kind of error it is.
type refusal struct {
	told  *identity.Error
	cause string
}

func (r *refusal) Error() string { return "passkey: " + r.cause + ": " + r.told.Error() }
func (r *refusal) Unwrap() error { return r.told }

// reason is what the library knows about an error, in one line.
func reason(err error) string {
	var p *protocol.Error
	if errors.As(err, &p) && p.DevInfo != "" {
		return err.Error() + " (" + p.DevInfo + ")"
	}
	return err.Error()
}

// guarded calls f and makes an error of a panic: the library parses what strangers send.
func guarded[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic while reading: %v", r)
		}
	}()
	return f()
}

package passkey

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-webauthn/webauthn/protocol"
	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
)

// An Assertion is what a passkey has proven; Accept makes it count. It may wait in a sealed
// flow until the other factors are there.
type Assertion struct {
	Tenant       string `cbor:"1,keyasint,omitempty"`
	UserID       string `cbor:"2,keyasint,omitempty"`
	ID           string `cbor:"3,keyasint,omitempty"` // pky_…
	Name         string `cbor:"4,keyasint,omitempty"`
	CredentialID []byte `cbor:"5,keyasint,omitempty"`
	// UV: in this ceremony the authenticator has verified its user, and has done so when it
	// was registered (WebAuthn L3 §7.2 step 25), so that the passkey alone is two factors.
	UV bool `cbor:"6,keyasint,omitempty"`
	// VerifiedNow: it has verified its user in this ceremony. Without UV that is news: it may
	// be believed beside another factor, see Initialize.
	VerifiedNow bool `cbor:"7,keyasint,omitempty"`
	// Initialize may be set by a caller to whom the user has proven another factor: from now
	// on the passkey's user verification counts.
	Initialize bool   `cbor:"8,keyasint,omitempty"`
	Synced     bool   `cbor:"9,keyasint,omitempty"`  // may leave its device (BE): AAL2 at most
	BackedUp   bool   `cbor:"10,keyasint,omitempty"` // has left it (BS)
	Attested   bool   `cbor:"11,keyasint,omitempty"` // its make was verified, and is not reported as unsafe since
	SignCount  uint32 `cbor:"12,keyasint,omitempty"`
	Clone      bool   `cbor:"13,keyasint,omitempty"` // with an error only: there may be a copy of it
	Challenge  []byte `cbor:"14,keyasint,omitempty"`
	Judged     uint64 `cbor:"15,keyasint,omitempty"` // generation of the metadata that have nothing against its make; 0: none
	Make       string `cbor:"16,keyasint,omitempty"` // what they call it, if that was not known
	Hardware   bool   `cbor:"17,keyasint,omitempty"` // it is attested, and its maker says that hardware protects its key
}

// Wanted is which of a user's passkeys would do.
type Wanted struct {
	// Second: the user has proven something that a security key (Passkey.Second) may come after. Then it
	// need not verify them, whatever the tenant wants of passkeys.
	Second bool
	Bound  bool // only those that never leave their device
}

// Begin returns what a browser needs to use a passkey (the JSON of
// PublicKeyCredential.parseRequestOptionsFromJSON), and the session for Finish. For the
// empty user ID it reads nothing: any passkey of the tenant may answer, chosen by the
// person. Otherwise it is one of that user's: fsm.ErrNotFound if there is none. Whoever has
// proven nothing yet should get the former, whoever they say they are: the list of a user's
// passkeys tells that the user exists. Who wants none that may leave its device, of a user who has but
// such, gets fsm.ErrNotFound as well.
func Begin(tx *fsm.Tx, t identity.Tenant, p settings.Passkey, userID string, w Wanted) (options, session []byte, err error) {
	c, err := newCeremony(signingIn, t, p, tx.Now())
	if err != nil {
		return nil, nil, err
	}
	var allowed []protocol.CredentialDescriptor
	if userID != "" {
		c.UserID = userID
		if c.Handle, err = handleOf(tx, t.ID, userID); err != nil {
			return nil, nil, err
		}
		for k, err := range List(tx, t.ID, userID) {
			if err != nil {
				return nil, nil, err
			}
			if k.Suspect.IsZero() && !(w.Bound && k.Synced) {
				stored := k.credential()
				allowed = append(allowed, stored.Descriptor())
				c.Keys = c.Keys || k.Second && w.Second
			}
		}
		if len(allowed) == 0 {
			return nil, nil, identity.NotFound("You have no passkey that can be used here. Use another way.")
		}
	}
	if c.Verify && c.Keys { // a passkey still has to; see Finish
		p.UserVerification = string(protocol.VerificationPreferred)
	}
	options, err = json.Marshal(protocol.PublicKeyCredentialRequestOptions{
		Challenge: c.Challenge, Timeout: int(browserTimeout.Milliseconds()), RelyingPartyID: c.RPID,
		AllowedCredentials: allowed, UserVerification: wished(p),
	})
	if err != nil {
		return nil, nil, fmt.Errorf("passkey options: %w", err)
	}
	session, err = c.session()
	return options, session, err
}

// Finish verifies what a browser's passkey answered (the JSON of
// PublicKeyCredential.toJSON) to Begin's options for the same userID. It reads this node's
// state, and the leader's for a passkey that is not there; it writes only when the sign
// count says that there is a copy of the passkey: that is then refused from now on, in
// this call and for good, with an event. Errors are identity.ErrUnauthenticated with a
// sentence for the person; Unknown finds out more. Errors of db and ctx pass.
//
// The assertion counts once Accept has taken it in the finishing transaction.
func Finish(ctx context.Context, db *fsm.DB, tenant string, session, response []byte, userID string) (Assertion, error) {
	c, err := openCeremony(session, signingIn, tenant, userID, db.Now())
	if err != nil {
		return Assertion{}, err
	}
	parsed, err := ParseAssertion(response)
	if err != nil {
		return Assertion{}, refuse(signingIn, sentenceFailed, err)
	}
	on, err := c.find(ctx, db, parsed.RawID)
	if err != nil {
		return Assertion{}, err
	}
	k := on.passkey
	if k.Second && c.UserID == "" {
		return Assertion{}, refuse(signingIn, sentenceSecond, errors.New("a security key, alone"))
	}
	if c.Verify && !(c.Keys && k.Second) && !parsed.Response.AuthenticatorData.Flags.HasUserVerified() {
		return Assertion{}, refuse(signingIn, sentenceVerify, errors.New("user not verified"))
	}
	used, err := c.asserted(k, on.handle, parsed)
	if err != nil {
		return Assertion{}, refuse(signingIn, sentenceFailed, err)
	}
	attested, err := on.attested()
	if err != nil {
		return Assertion{}, fmt.Errorf("passkey: %w", err)
	}
	flags := parsed.Response.AuthenticatorData.Flags // of this ceremony: the library's are those of the passkey's past
	a := Assertion{
		Tenant: tenant, UserID: k.UserID, ID: k.ID, Name: k.Name, CredentialID: k.CredentialID,
		UV: flags.HasUserVerified() && k.UVInitialized, VerifiedNow: flags.HasUserVerified() && !k.Second,
		Synced: k.Synced, BackedUp: flags.HasBackupState(), Attested: attested, Judged: on.judged, Make: on.makes(),
		Hardware:  attested && on.model.hardware(),
		SignCount: parsed.Response.AuthenticatorData.Counter, Clone: used.Authenticator.CloneWarning, Challenge: c.Challenge,
	}
	if a.Clone {
		return a, suspect(ctx, db, a)
	}
	return a, on.bar.refusal() // not before: only who holds the passkey learns what is held against it
}

// ParseAssertion reads a sign-in's response, of at most MaxResponse bytes.
func ParseAssertion(response []byte) (*protocol.ParsedCredentialAssertionData, error) {
	if len(response) > MaxResponse {
		return nil, errors.New("response too large")
	}
	return guarded(func() (*protocol.ParsedCredentialAssertionData, error) {
		return protocol.ParseCredentialRequestResponseBytes(response)
	})
}

// A file is what is on record of the passkey that answers.
type file struct {
	passkey *Passkey
	handle  []byte // its owner's
	model   *model // what the metadata say of it; nil: nothing
	judged  uint64 // generation of the metadata
	bar     Bar

	evidence *evidence // that is to be verified, see again; nil: none
}

func fileOf(tx *fsm.Tx, id []byte) (f file, err error) {
	if f.passkey, err = passkeys.Get(tx, fsm.Global, keyOf(id)); err != nil {
		return f, err
	}
	if f.handle, err = handleOf(tx, f.passkey.Tenant, f.passkey.UserID); err != nil {
		return f, err
	}
	s, _, err := settings.Get(tx, f.passkey.Tenant)
	if err != nil {
		return f, err
	}
	return f, f.judge(tx, s.Passkey)
}

// judge fills in what the metadata and a tenant that has decided p hold against the passkey.
func (f *file) judge(tx *fsm.Tx, p settings.Passkey) (err error) {
	if f.model, f.judged, err = modelOf(tx, f.passkey); err != nil {
		return err
	}
	f.bar = f.passkey.bar(p, f.model, f.passkey.Attested, tx.Now())
	return f.again(tx)
}

// find looks up the passkey that answers, and refuses what can be told to whoever asks.
func (c *ceremony) find(ctx context.Context, db *fsm.DB, id []byte) (f file, err error) {
	err = db.Read(ctx, func(tx *fsm.Tx) (err error) {
		f, err = fileOf(tx, id)
		return err
	})
	switch k := f.passkey; {
	case errors.Is(err, fsm.ErrNotFound):
		return f, &unknownError{refusal{identity.Unauthenticated(sentenceUnknown), "no such credential"}, c.RPID, id}
	case err != nil:
		return f, fmt.Errorf("passkey: %w", err)
	case k.Tenant != c.Tenant:
		return f, refuse(signingIn, sentenceElse, errors.New("another tenant's"))
	case c.UserID != "" && k.UserID != c.UserID:
		return f, refuse(signingIn, sentenceElse, errors.New("another user's"))
	case f.bar == Copied:
		return f, f.bar.refusal()
	}
	return f, nil
}

// asserted is what the library finds out about the answer.
func (c *ceremony) asserted(k *Passkey, userHandle []byte, parsed *protocol.ParsedCredentialAssertionData) (*webauthn.Credential, error) {
	owner := account{handle: userHandle, credentials: []webauthn.Credential{k.credential()}}
	return guarded(func() (*webauthn.Credential, error) {
		rp, err := c.relyingParty("quis")
		if err != nil {
			return nil, err
		}
		if c.UserID != "" {
			return rp.ValidateLogin(owner, c.data(), parsed)
		}
		_, used, err := rp.ValidatePasskeyLogin(func(_, _ []byte) (webauthn.User, error) { return owner, nil }, c.data(), parsed)
		return used, err
	})
}

// suspect marks a passkey of which there may be a copy, and returns what its user is told.
func suspect(ctx context.Context, db *fsm.DB, a Assertion) error {
	err := db.Update(ctx, func(tx *fsm.Tx) error {
		k, err := passkeys.Get(tx, fsm.Global, keyOf(a.CredentialID))
		if errors.Is(err, fsm.ErrNotFound) || err == nil && !k.Suspect.IsZero() {
			return nil
		}
		if err != nil {
			return err
		}
		k.Suspect = tx.Now()
		if err := passkeys.Put(tx, k); err != nil {
			return err
		}
		return appendEvent(tx, event.PasskeySuspected, k, map[string]string{
			"sign_count": fmt.Sprint(a.SignCount), "stored_sign_count": fmt.Sprint(k.SignCount),
		})
	})
	if err != nil {
		return fmt.Errorf("passkey: mark as copied: %w", err)
	}
	return refuse(signingIn, sentenceSuspect, errors.New("its sign count has not grown"))
}

// Accept makes an assertion count: in the transaction that makes the session, it compares
// and sets the sign count and sets the time of last use. Of the same answer on two nodes one
// is accepted. It reports identity.ErrUnauthenticated if the passkey has been removed,
// suspected, or used with a later count meanwhile, or if its model is denied or unsafe by now: a
// flow may have waited for other factors, and the node that began it been behind.
func Accept(tx *fsm.Tx, a Assertion) error {
	k, err := passkeys.Get(tx, fsm.Global, keyOf(a.CredentialID))
	switch {
	case errors.Is(err, fsm.ErrNotFound):
		return refuse(signingIn, sentenceUnknown, errors.New("removed meanwhile"))
	case err != nil:
		return err
	case a.Clone || k.ID != a.ID || k.Tenant != a.Tenant || k.UserID != a.UserID:
		return refuse(signingIn, sentenceFailed, errors.New("not an assertion of this passkey"))
	case bytes.Equal(k.LastChallenge, a.Challenge):
		return refuse(signingIn, sentenceAgain, errors.New("the same answer again"))
	case a.SignCount <= k.SignCount && (a.SignCount != 0 || k.SignCount != 0):
		return refuse(signingIn, sentenceAgain, errors.New("used with a later count meanwhile"))
	}
	bar, same, err := a.barred(tx, k)
	if err := cmp.Or(err, bar.refusal()); err != nil {
		return err
	}
	if same {
		k.Attested, k.Make, k.Judged = k.Attested || a.Attested, cmp.Or(k.Make, a.Make), a.Judged
		k.Hardware = &a.Hardware
	}
	k.SignCount, k.LastUsed, k.LastChallenge, k.BackedUp = a.SignCount, tx.Now(), a.Challenge, a.BackedUp
	k.UVInitialized = k.UVInitialized || a.Initialize && a.VerifiedNow
	return passkeys.Put(tx, k)
}

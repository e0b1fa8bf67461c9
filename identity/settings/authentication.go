package settings

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/strength"
	"github.com/quis-idp/quis/identity/event"
)

// What is asked of second factors, see Authentication.MFAPolicy.
const (
	MFADisabled = "disabled" // none is asked for
	MFAAny      = "any"      // any of those that are allowed
	MFAOTP      = "otp"      // a one-time code, or what is stronger
	MFAPasskey  = "passkey"  // a passkey

	MFADeviceBound = "device_bound" // one that never leaves its device
)

// policies are those that a tenant may have.
var policies = []string{MFADisabled, MFAAny, MFAOTP, MFAPasskey, MFADeviceBound}

// Second factors by their names in MFAMethods.
const (
	MethodTOTP     = "totp"
	MethodPasskey  = "passkey"
	MethodApproval = "approval" // in another browser of theirs; only beside one of the others
)

// An Authentication is what one tenant decides about signing in. Get has it whole.
type Authentication struct {
	Tenant string `cbor:"1,keyasint,omitempty"`

	MFAPolicy  string   `cbor:"2,keyasint,omitempty"` // MFADisabled …
	MFAMethods []string `cbor:"3,keyasint,omitempty"` // those that people may enrol and use
	// MFAEnforce has whoever lacks a second factor that is asked for enrol one, after MFAGrace
	// sign-ins that went without; off: they may put it off for ever.
	MFAEnforce     bool  `cbor:"4,keyasint,omitempty"`
	MFAGrace       int64 `cbor:"5,keyasint,omitempty"`
	MFAReauth      int64 `cbor:"6,keyasint,omitempty"` // minutes after which the factor is asked for again; 0: once per session
	TrustedDevices int64 `cbor:"7,keyasint,omitempty"` // days that a device may be trusted; 0: none is

	LocalLogin       bool `cbor:"8,keyasint,omitempty"` // off: only through another provider
	PasswordLogin    bool `cbor:"9,keyasint,omitempty"`
	PasskeyLogin     bool `cbor:"10,keyasint,omitempty"` // without a username
	EmailOTP         bool `cbor:"11,keyasint,omitempty"`
	MagicLink        bool `cbor:"12,keyasint,omitempty"`
	ForgotPassword   bool `cbor:"13,keyasint,omitempty"`
	SelfRegistration bool `cbor:"14,keyasint,omitempty"`

	Password Password `cbor:"15,keyasint,omitempty"`
	Session  Session  `cbor:"16,keyasint,omitempty"`
	Recovery Recovery `cbor:"17,keyasint,omitempty"`
	Passkey  Passkey  `cbor:"18,keyasint,omitempty"`

	Languages       []string `cbor:"19,keyasint,omitempty"` // that pages may be in (BCP 47); none: all there are
	DefaultLanguage string   `cbor:"20,keyasint,omitempty"` // where the person's own is none of them; "": the first
	BrandName       string   `cbor:"21,keyasint,omitempty"` // shown on pages and in mail; "": the tenant's name
	BrandColor      string   `cbor:"22,keyasint,omitempty"` // #rrggbb; "": ours. See CheckColor

	Registration Registration `cbor:"23,keyasint,omitempty"` // counts where SelfRegistration is on

	AllowImpersonation bool `cbor:"24,keyasint,omitempty"` // administrators may act as other users, for a while and on record
	QuietImpersonation bool `cbor:"25,keyasint,omitempty"` // the person is not told of it by mail
}

// A Registration is who may make themselves an account, and what comes with it.
type Registration struct {
	Domains []string `cbor:"1,keyasint,omitempty"` // of their addresses, in lower case; none: all
	Groups  []string `cbor:"2,keyasint,omitempty"` // IDs of those that they will be in; one that is gone by then is left out
}

// Admits reports whether people with an address may make themselves an account. Domains are
// compared as they are, without those below them.
func (r *Registration) Admits(email string) bool {
	_, domain, _ := strings.Cut(strings.TrimSpace(email), "@")
	return len(r.Domains) == 0 || slices.Contains(r.Domains, strings.ToLower(domain))
}

// A Password is what new passwords must be like.
type Password struct {
	MinLength int64 `cbor:"1,keyasint,omitempty"` // characters
	Uppercase bool  `cbor:"2,keyasint,omitempty"`
	Number    bool  `cbor:"3,keyasint,omitempty"`
	Special   bool  `cbor:"4,keyasint,omitempty"`
	Strength  int64 `cbor:"5,keyasint,omitempty"` // least score of zxcvbn, 0 to 4
	Breached  bool  `cbor:"6,keyasint,omitempty"` // those known from breaches are refused
	History   int64 `cbor:"7,keyasint,omitempty"` // former ones that may not come back
	MaxAge    int64 `cbor:"8,keyasint,omitempty"` // days after which a new one is asked for; 0: never

	Blocklist []string `cbor:"9,keyasint,omitempty"` // words that are none (see strength.Policy); only Whole has them
}

// A Session is how long a person stays signed in.
type Session struct {
	Idle       int64 `cbor:"1,keyasint,omitempty"` // minutes without activity
	Absolute   int64 `cbor:"2,keyasint,omitempty"` // minutes from signing in
	RememberMe int64 `cbor:"3,keyasint,omitempty"` // days of a session that a person asked to be remembered; 0: not offered
	Sensitive  int64 `cbor:"4,keyasint,omitempty"` // minutes after which a sensitive action asks for proof again
}

// A Recovery is how people get back in who cannot prove who they are.
type Recovery struct {
	// Methods are combinations, any of which is enough: proofs joined by "+", of email,
	// totp, recovery_code and passkey. None: only an administrator lets people back in.
	Methods   []string `cbor:"1,keyasint,omitempty"`
	Delay     int64    `cbor:"2,keyasint,omitempty"` // hours until a recovery that replaces second factors takes effect
	Notify    bool     `cbor:"3,keyasint,omitempty"` // every channel known is told at once
	TwoPerson bool     `cbor:"4,keyasint,omitempty"` // help of an administrator needs a second one
	// CoolingOff is for how many hours an account that was recovered gives away no more than a session.
	CoolingOff int64 `cbor:"5,keyasint,omitempty"`
}

// A Passkey is which passkeys may be enrolled. Allow and Deny hold at each sign-in, too.
type Passkey struct {
	UserVerification string   `cbor:"1,keyasint,omitempty"` // required, preferred or discouraged (WebAuthn §5.8.6)
	Attestation      string   `cbor:"2,keyasint,omitempty"` // none, indirect, direct or enterprise (WebAuthn §5.4.7)
	RequireAttested  bool     `cbor:"3,keyasint,omitempty"` // only with an attestation that was verified
	Allow            []string `cbor:"4,keyasint,omitempty"` // AAGUIDs; none: all
	Deny             []string `cbor:"5,keyasint,omitempty"`
	ForbidSynced     bool     `cbor:"6,keyasint,omitempty"` // only those that never leave their device
	RelatedOrigins   []string `cbor:"7,keyasint,omitempty"` // other origins where they may be used (WebAuthn §5.11)
}

var table = fsm.NewTable(45, "authentication_settings", fsm.Spec[Authentication]{
	Scope: func(a *Authentication) fsm.Scope { return fsm.Scope(a.Tenant) },
	Key:   func(*Authentication) fsm.Key { return fsm.K("authentication") },
})

// Tables are the tables of this room.
var Tables = []fsm.Definition{table, groupTable, lowerings, wordLists}

// Default is what holds in a tenant where nobody has decided anything: passwords and
// passkeys, no second factor demanded, nothing that needs mail.
func Default(tenant string) Authentication {
	return Authentication{
		Tenant: tenant, MFAPolicy: MFADisabled, MFAMethods: []string{MethodTOTP, MethodPasskey, MethodApproval}, MFAEnforce: true, MFAGrace: 3,
		LocalLogin: true, PasswordLogin: true, PasskeyLogin: true, ForgotPassword: true,
		Password: Password{MinLength: int64(strength.Default.MinLength), Strength: int64(strength.Default.MinScore), Breached: true},
		Session:  Session{Idle: 120, Absolute: 720, Sensitive: 15},
		Recovery: Recovery{Methods: []string{"email"}, Delay: 24, Notify: true, CoolingOff: 24},
		Passkey:  Passkey{UserVerification: "required", Attestation: "none"},
	}
}

// Get returns what a tenant has decided, Default if it has nothing, and the revision of
// that, 0 if there is none.
func Get(tx *fsm.Tx, tenant string) (*Authentication, uint64, error) {
	a, rev, err := table.GetRev(tx, fsm.Scope(tenant), fsm.K("authentication"))
	if errors.Is(err, fsm.ErrNotFound) {
		d := Default(tenant)
		return &d, 0, nil
	}
	if err == nil { // up to 128 was taken once, and never asked for
		a.Password.MinLength = min(a.Password.MinLength, strength.LongestMinimum)
	}
	return a, rev, err
}

// Put decides for a.Tenant, at revision rev (0: any) of what was decided before. It
// reports identity.ErrInvalid for each bad field (see identity.Errors) and
// identity.ErrPrecondition, and identity.ErrDenied if that were to end what a second
// administrator has to agree with (see AskLowering). What changes nothing writes nothing.
//
// The caller has made sure that every member of the cluster reads such rows.
func Put(tx *fsm.Tx, rev uint64, a Authentication) error {
	if a.Tenant == "" {
		return identity.Invalid("tenant", "must be set")
	}
	old, at, err := Whole(tx, a.Tenant)
	if err != nil {
		return err
	}
	if err := identity.Expect(tx, rev, at); err != nil {
		return err
	}
	if err := a.check(); err != nil {
		return err
	}
	if err := a.Recovery.checkLetters(&old.Recovery); err != nil {
		return err
	}
	if err := a.checkGroups(tx, old); err != nil {
		return err
	}
	if err := a.checkLanguages(old); err != nil {
		return err
	}
	if err := a.mayReplace(tx, old); err != nil {
		return err
	}
	return a.replace(tx, old, nil)
}

// replace writes a in the place of old, with what the event shall tell besides. It ends what
// waits to be approved when the rule changes that it is about: it was asked of another one.
func (a *Authentication) replace(tx *fsm.Tx, old *Authentication, data map[string]string) error {
	changes := event.Diff(old.fields(), a.fields())
	if len(changes) == 0 {
		return nil
	}
	if old.Recovery.TwoPerson != a.Recovery.TwoPerson {
		if err := dropLowering(tx, a.Tenant); err != nil {
			return err
		}
	}
	if err := a.put(tx); err != nil {
		return err
	}
	return event.Append(tx, event.Event{
		Tenant: a.Tenant, Type: event.SettingsUpdated, Target: event.Target{Kind: "tenant", ID: a.Tenant}, Changes: changes, Data: data,
	})
}

// DeleteTenant removes what a tenant that is being deleted has decided.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for g, err := range groupTable.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := groupTable.Delete(tx, fsm.Scope(tenant), fsm.K(g.Group)); err != nil {
			return err
		}
	}
	if err := dropLowering(tx, tenant); err != nil {
		return err
	}
	if err := wordLists.Delete(tx, fsm.Scope(tenant), fsm.K("words")); err != nil {
		return err
	}
	return table.Delete(tx, fsm.Scope(tenant), fsm.K("authentication"))
}

// IdleTime is how long a session lasts without activity.
func (s Session) IdleTime() time.Duration { return time.Duration(s.Idle) * time.Minute }

// AbsoluteTime is how long a session lasts from signing in.
func (s Session) AbsoluteTime() time.Duration { return time.Duration(s.Absolute) * time.Minute }

// RememberTime is how long a session lasts from signing in whose person asked to stay signed
// in; 0: nobody may.
func (s Session) RememberTime() time.Duration { return time.Duration(s.RememberMe) * 24 * time.Hour }

// SensitiveTime is how old a proof may be for a change that matters.
func (s Session) SensitiveTime() time.Duration { return time.Duration(s.Sensitive) * time.Minute }

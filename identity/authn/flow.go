package authn

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/keys/seal"
)

// Bounds in bytes. A flow travels in URLs and forms: with a ReturnTo of the full
// 4 KiB it stays under maxSealed. That leaves 800 bytes for the names in a certificate, and room for the
// addresses it is asked about at (400 bytes, see certificate.Shown); the line of a request that has it
// stays under the 8 KiB that proxies take.
const (
	maxReturnTo    = 4 << 10
	maxLoginHint   = 128
	maxApplication = 64
	maxSealed      = 7<<10 + 600
	bindingSize    = 32

	flowPurpose = "flow"
)

// A Need is what a protocol wants of a sign-in.
type Need struct {
	Tenant      string         `cbor:"1,keyasint,omitempty"` // empty: the context's
	ReturnTo    string         `cbor:"2,keyasint,omitempty"` // path and query on our own origin, at most 4 KiB
	Login       bool           `cbor:"3,keyasint,omitempty"` // prove it again although signed in: OIDC prompt=login
	MaxAge      *time.Duration `cbor:"4,keyasint,omitempty"` // how old the proof may be; nil: any
	LoginHint   string         `cbor:"5,keyasint,omitempty"` // to fill in the form; cut at 128 bytes
	Application string         `cbor:"6,keyasint,omitempty"` // name to show; cut at 64 bytes
	Locales     string         `cbor:"7,keyasint,omitempty"` // OIDC ui_locales; cut at 64 bytes
	ACR         []string       `cbor:"8,keyasint,omitempty"` // wanted, preferred first; what cannot be reached is left out
	Select      bool           `cbor:"9,keyasint,omitempty"` // ask which account, if one is signed in; see Keep

	MFA     string `cbor:"10,keyasint,omitempty"` // the application's policy of second factors; empty: it has none
	Recover bool   `cbor:"11,keyasint,omitempty"` // the password is not known: prove otherwise who it is, and choose another
	Create  bool   `cbor:"12,keyasint,omitempty"` // begin where people make themselves an account: OIDC prompt=create

	Sensitive bool `cbor:"13,keyasint,omitempty"` // whatever counts was proved within MaxAge; see Flows.Sensitive
	Lost      bool `cbor:"14,keyasint,omitempty"` // the second factors are lost; see Lose

	Until time.Time `cbor:"15,keyasint,omitempty"` // what ReturnTo leads to is good for no longer, so neither is the flow; zero: for ever
}

// A Step is what a flow is waiting for.
type Step string

// The steps.
const (
	StepPassword Step = "password" // a name and a first proof: a password, or a passkey that knows the name
	StepMail     Step = "mail"     // the code that Mail has sent
	StepSecond   Step = "second"   // one of what Offer returns
	StepRenew    Step = "renew"    // another password
	StepLost     Step = "lost"     // the time that a recovery takes; see Regain
	StepDone     Step = "done"     // nothing: the session has been made
)

// A Flow is one sign-in on its way, as its sealed form says.
type Flow struct {
	ID      string    `cbor:"1,keyasint,omitempty"`
	Need    Need      `cbor:"2,keyasint,omitempty"`
	Begun   time.Time `cbor:"3,keyasint,omitempty"`
	Expires time.Time `cbor:"4,keyasint,omitempty"`
	Binding []byte    `cbor:"5,keyasint,omitempty"` // SHA-256 of the browser's binding value; empty: not bound yet
	UserID  string    `cbor:"6,keyasint,omitempty"` // who it is, once proved

	Factors     []assurance.Factor `cbor:"8,keyasint,omitempty"`  // what has been proved in this flow
	At          Step               `cbor:"9,keyasint,omitempty"`  // what it is waiting for; empty: StepPassword
	Login       string             `cbor:"10,keyasint,omitempty"` // the name as it was typed
	PasswordSet int64              `cbor:"11,keyasint,omitempty"` // when the password that was proved was set, in Unix nanoseconds
	Challenge   []byte             `cbor:"12,keyasint,omitempty"` // of a passkey, or of a mail, that is being waited for
	Leaked      bool               `cbor:"22,keyasint,omitempty"` // the password that was proved is known from leaks, and has to be replaced
	Stay        bool               `cbor:"16,keyasint,omitempty"` // the person wants to stay signed in; set it before the first step

	// Of the session that is to be raised, in the browser that it belongs to; see Raise:
	Session string             `cbor:"13,keyasint,omitempty"`
	Have    []assurance.Factor `cbor:"14,keyasint,omitempty"`

	Asked       *Asking            `cbor:"15,keyasint,omitempty"` // the approval that is being waited for; see Ask
	Recovery    string             `cbor:"17,keyasint,omitempty"` // ID of the recovery that ends with it; see package regain
	First       bool               `cbor:"21,keyasint,omitempty"` // by that recovery somebody comes in for the first time
	Certificate *certificate.Shown `cbor:"20,keyasint,omitempty"` // that the browser has shown: see Show

	// Browser is what the browser brings besides the flow; set it before a step.
	Browser Browser `cbor:"-"`

	// Admitted, if set, is called when a password is let on to be checked, which takes a while.
	Admitted func() `cbor:"-"`

	sealed      string
	epoch       seal.Epoch // that it was opened in
	era         uint64     // of the account when the sign-in came to its end
	settled     bool       // policy has found nothing missing: neither a proof nor a factor to be set up
	deviceBound bool       // policy takes no passkey that may leave its device; see DeviceBound
}

// A Browser is what is known of the browser that takes a step; all may be empty.
type Browser struct {
	SessionID string // of the session it is signed in with: renewed by its user, ended by another
	Device    string // Result.Device of an earlier sign-in: see Result
	Trust     string // cookie of a trusted device, which spares its user the second factor
	Approver  string // cookie of a browser in which sign-ins are approved: it may, in the session that is made
	Remember  string // a name for this device: it shall be trusted from now on; empty: it shall not
}

// Step says what the flow is waiting for.
func (f *Flow) Step() Step {
	if f.At == "" {
		return StepPassword
	}
	return f.At
}

// Restart takes a flow back to its first step: somebody else sits here.
func (fs *Flows) Restart(f *Flow) error {
	*f = Flow{ID: f.ID, Need: f.Need, Begun: f.Begun, Expires: f.Expires, Binding: f.Binding, Browser: f.Browser, epoch: f.epoch}
	f.Need.Lost = false
	return fs.seal(f)
}

// A flow lives for lifetime from its last step, but for maxLifetime at most from its first, and as long as what it is for; the mark of a spent
// one outlives all its copies (spentGrace).
const lifetime, maxLifetime = 15 * time.Minute, 45 * time.Minute

// Prolong gives whoever is still there as much time as a step has (WCAG 2.2, 2.2.1). As long as they have
// proved nothing that makes it a new flow to the same end, so they can go on like that for ever.
func (fs *Flows) Prolong(f *Flow) error {
	now := fs.cfg.DB.Now()
	if f.Expires.Sub(now) > lifetime-time.Minute {
		return nil
	}
	if f.Step() == StepPassword {
		f.ID, f.Begun, f.Challenge, f.Certificate = identity.NewID(identity.PrefixFlow), now, nil, nil
	}
	return fs.seal(f)
}

// Left says how long f is good still as it is sealed, and whether Prolong could give it more.
func (fs *Flows) Left(f *Flow) (left time.Duration, more bool) {
	more = f.Step() == StepPassword || f.Begun.Add(maxLifetime).After(f.Expires)
	return f.Expires.Sub(fs.cfg.DB.Now()), more && !f.Expires.Equal(f.Need.Until)
}

// proved is everything that is known of the person: what the session had, and this flow's.
func (f *Flow) proved() []assurance.Factor { return assurance.Merge(f.Have, f.Factors) }

// DeviceBound reports whether, of what Offer has returned, a passkey has to be one that never leaves its device.
func (f *Flow) DeviceBound() bool { return f.deviceBound }

// Bound reports whether the flow belongs to a browser already.
func (f *Flow) Bound() bool { return len(f.Binding) > 0 }

// Sealed returns the flow as the browser carries it: at most 7.6 KiB, safe in URLs and forms.
func (f *Flow) Sealed() string { return f.sealed }

// Begin returns a new sealed flow. It writes nothing. It reports
// identity.ErrInvalid for a ReturnTo that is not a path on our own origin.
func (fs *Flows) Begin(ctx context.Context, need Need) (string, error) {
	if need.Tenant == "" {
		need.Tenant = identity.TenantFrom(ctx).ID
	}
	if need.Tenant == "" {
		return "", errors.New("begin sign-in: no tenant")
	}
	if !LocalPath(need.ReturnTo) {
		return "", identity.Invalid("return_to", "is not a path on this server")
	}
	need.LoginHint = identity.Printable(need.LoginHint, maxLoginHint)
	need.Application = identity.Printable(need.Application, maxApplication)
	need.Locales = identity.Printable(need.Locales, maxApplication)
	need.ACR = slices.DeleteFunc(slices.Clone(need.ACR), func(acr string) bool { return !Reachable(acr) })
	f := &Flow{ID: identity.NewID(identity.PrefixFlow), Need: need, Begun: fs.cfg.DB.Now()}
	if err := fs.seal(f); err != nil {
		return "", fmt.Errorf("begin sign-in: %w", err)
	}
	return f.sealed, nil
}

var bindingText = base64.RawURLEncoding.Strict() // one value, one spelling

// Bind ties a flow that is not bound to the browser with this binding value: the
// value of its flow cookie, or empty if it has none. It returns the value to set
// as that cookie; one serves all flows of a browser. The sealed form is a new one.
func (fs *Flows) Bind(f *Flow, binding string) (string, error) {
	if f.Bound() {
		return "", dead("it is bound already")
	}
	if raw, err := bindingText.DecodeString(binding); err != nil || len(raw) != bindingSize {
		var fresh [bindingSize]byte
		rand.Read(fresh[:])
		binding = bindingText.EncodeToString(fresh[:])
	}
	hash := sha256.Sum256([]byte(binding))
	f.Binding = hash[:]
	return binding, fs.seal(f)
}

// Load opens a sealed flow of the context's tenant for the browser with this
// binding value; a flow that is not bound opens for any. It reports ErrDeadFlow for
// what is no flow of ours, expired, spent, or bound to another browser.
func (fs *Flows) Load(ctx context.Context, sealed, binding string) (*Flow, error) {
	f, err := fs.open(identity.TenantFrom(ctx).ID, sealed)
	if err != nil {
		return nil, err
	}
	if f.Bound() {
		hash := sha256.Sum256([]byte(binding))
		if subtle.ConstantTimeCompare(hash[:], f.Binding) != 1 {
			return nil, dead("it belongs to another browser, or cookies are off")
		}
	}
	err = fs.cfg.DB.View(ctx, func(tx *fsm.Tx) error { return alive(tx, f) })
	if err != nil {
		return nil, err
	}
	return f, nil
}

// alive checks what only the store can say: the time, whether f is spent, and that no
// backup has been restored since.
func alive(tx *fsm.Tx, f *Flow) error {
	if err := seal.Check(tx, f.epoch); errors.Is(err, seal.ErrBox) {
		return dead("it was begun before a backup was restored")
	} else if err != nil {
		return err
	}
	if !tx.Now().Before(f.Expires) {
		return dead("it has expired")
	}
	has, err := Spent(tx, f.Need.Tenant, f.ID)
	if err != nil {
		return err
	}
	if has {
		return dead("it was used already")
	}
	return nil
}

func dead(why string) error {
	return &identity.Error{
		Kind:   ErrDeadFlow,
		Detail: "This sign-in page is no longer valid: " + why + ". Go back to the application and sign in from there.",
	}
}

// LocalPath reports whether a browser that is sent to s stays on our origin: WHATWG
// URL parsers read \ as / and drop tabs and newlines, so none of these may be in it.
func LocalPath(s string) bool {
	if len(s) > maxReturnTo || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") {
		return false
	}
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '\\' || r == '#' }) {
		return false
	}
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "" && u.Host == "" && u.User == nil
}

package totp

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

// EnrolmentLifetime is how long a person has to type the first code.
const EnrolmentLifetime = 15 * time.Minute

const (
	enrolPurpose = "totp enrolment"
	secretSize   = 20 // bytes; RFC 4226 §4, R6: 160 bits recommended
	maxIssuer    = 64
	maxAccount   = 128
	maxToken     = 1024
)

// An Enrolment is an app that is being added. It is not stored anywhere.
type Enrolment struct {
	Token   string          // sealed, at most 1 KiB, safe in forms: give it to Confirm
	Secret  identity.Secret // base 32 in groups of four, to be typed into an app
	URI     identity.Secret // otpauth://…
	QR      Drawing         // of the URI
	Expires time.Time
}

// An enrolment is what a token says.
type enrolment struct {
	ID      string     `cbor:"1,keyasint,omitempty"` // of the app to be: one token makes one app
	Secret  []byte     `cbor:"2,keyasint,omitempty"`
	Expires time.Time  `cbor:"3,keyasint,omitempty"`
	Params  Parameters `cbor:"4,keyasint,omitempty"`
}

// A Label is what an app shows beside its codes.
type Label struct {
	Issuer  string // whose account it is: the name of the tenant
	Account string // which: the user's name or address
}

// Begin makes a secret for a new app of a user and writes nothing. It reports
// identity.ErrInvalid for parameters that this room does not know and for an empty label.
func Begin(tx *fsm.Tx, ring *seal.Ring, tenant, userID string, l Label, p Parameters) (*Enrolment, error) {
	if !p.valid() || userID == "" {
		return nil, fmt.Errorf("totp with %+v for %q: %w", p, userID, identity.ErrInvalid)
	}
	e := &enrolment{
		ID: identity.NewID(identity.PrefixTOTP), Secret: make([]byte, secretSize),
		Expires: tx.Now().Add(EnrolmentLifetime).Truncate(time.Second), Params: p, // as a token keeps it
	}
	rand.Read(e.Secret)
	plain, err := cbor.Marshal(e)
	if err != nil {
		return nil, err
	}
	box, err := ring.Seal(ring.Passing(enrolPurpose), plain, boundTo(tenant, userID, ""))
	if err != nil {
		return nil, fmt.Errorf("begin totp: %w", err)
	}
	return e.show(tokenText.EncodeToString(box), l)
}

// Resume returns the enrolment that a token of Begin stands for, to show it again after
// a wrong code. It reports what Confirm does for tokens.
func Resume(tx *fsm.Tx, ring *seal.Ring, tenant, userID, token string, l Label) (*Enrolment, error) {
	e, err := open(tx, ring, tenant, userID, token)
	if err != nil {
		return nil, err
	}
	return e.show(token, l)
}

var tokenText = base64.RawURLEncoding.Strict()

// open reads a token. It reports identity.ErrInvalid, field token, with a sentence for
// the person, for one that is not ours, not this user's, expired, or from before a restore.
func open(tx *fsm.Tx, ring *seal.Ring, tenant, userID, token string) (*enrolment, error) {
	gone := identity.Invalid("token", "Setting up the authenticator app took too long. Start again, with a new QR code.")
	epoch := ring.Epoch()
	box, err := tokenText.DecodeString(token)
	if err != nil || len(token) > maxToken {
		return nil, gone
	}
	plain, err := ring.Open(ring.Passing(enrolPurpose), box, boundTo(tenant, userID, ""))
	if err == nil {
		err = seal.Check(tx, epoch)
	}
	if errors.Is(err, seal.ErrBox) {
		return nil, gone
	}
	if err != nil {
		return nil, fmt.Errorf("totp enrolment: %w", err)
	}
	e := &enrolment{}
	if cbor.Unmarshal(plain, e) != nil || !tx.Now().Before(e.Expires) {
		return nil, gone
	}
	return e, nil
}

// Confirm adds the app of a token under a name, once code shows that it computes what we
// do. That code is spent by it. The same token again, as a double click sends it, returns
// the same app. It reports identity.ErrInvalid: field code for a wrong code, name for
// none, token for one that is no longer good, and none if the user has too many apps.
func Confirm(tx *fsm.Tx, ring *seal.Ring, tenant, userID, token, code, name string) (*App, error) {
	e, err := open(tx, ring, tenant, userID, token)
	if err != nil {
		return nil, err
	}
	step, ok := e.Params.match(e.Secret, typed(code), tx.Now())
	if !ok {
		return nil, identity.Invalid("code", "That code is not right. Enter the code that the app shows now; if it never fits, set your telephone's clock to automatic.")
	}
	if name, err = named(name); err != nil {
		return nil, err
	}
	all, err := List(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	for i := range all {
		if all[i].ID == e.ID {
			return &all[i], nil
		}
	}
	if len(all) >= maxApps {
		return nil, identity.Invalid("", "You have as many authenticator apps as are allowed. Remove one first.")
	}
	a := &App{
		ID: e.ID, Tenant: tenant, UserID: userID, Name: name, Created: tx.Now(), Step: step, Params: e.Params,
	}
	if a.Box, err = ring.Seal(purpose, e.Secret, boundTo(tenant, userID, a.ID)); err != nil {
		return nil, fmt.Errorf("totp: %w", err)
	}
	if err := apps.Insert(tx, a); err != nil {
		return nil, err
	}
	return a, tell(tx, event.FactorAdded, a)
}

func (e *enrolment) show(token string, l Label) (*Enrolment, error) {
	text := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(e.Secret)
	uri, err := l.uri(text, e.Params.full())
	if err != nil {
		return nil, err
	}
	qr, err := draw(uri)
	if err != nil {
		return nil, err
	}
	return &Enrolment{
		Token: token, Secret: identity.Secret(grouped(text)), URI: identity.Secret(uri), QR: qr, Expires: e.Expires,
	}, nil
}

// uri is what apps read from a QR code; the format is Google Authenticator's "Key URI".
// It knows no way to write a colon within the issuer or the account.
func (l Label) uri(secret string, p Parameters) (string, error) {
	issuer, account := plain(l.Issuer, maxIssuer), plain(l.Account, maxAccount)
	if issuer == "" || account == "" {
		return "", fmt.Errorf("totp label %q, %q: %w", l.Issuer, l.Account, identity.ErrInvalid)
	}
	q := [][2]string{
		{"secret", secret}, {"issuer", issuer}, {"algorithm", string(p.Algorithm)},
		{"digits", strconv.Itoa(p.Digits)}, {"period", strconv.Itoa(p.Seconds)},
	}
	var b strings.Builder
	b.WriteString("otpauth://totp/" + escape(issuer) + ":" + escape(account))
	for i, kv := range q {
		b.WriteByte("?&"[min(i, 1)])
		b.WriteString(kv[0] + "=" + escape(kv[1]))
	}
	return b.String(), nil
}

// plain is a text that a label can hold.
func plain(s string, limit int) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(identity.Printable(s, limit), ":", " ")), " ")
}

// escape is url.QueryEscape with spaces as %20: many apps show a plus sign as it stands.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }

// grouped puts a space after every four characters.
func grouped(s string) string {
	var b strings.Builder
	for i, c := range []byte(s) {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(c)
	}
	return b.String()
}

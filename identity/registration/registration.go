package registration

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	// Lifetime is how long a proved address may be made an account with: so long that nobody has to
	// be asked whether they need more time (WCAG 2.2, 2.2.1).
	Lifetime = 24 * time.Hour

	// Prefix begins the IDs of registrations.
	Prefix = "reg"

	maxEmail = 254 // bytes
	maxCode  = 64
	newcomer = "newcomer" // for whom codes are made; an address that is taken has nobody
)

// ErrDead is the kind of a registration that cannot be gone on with: too old, used, or none of ours.
var ErrDead = fmt.Errorf("registration is dead: %w", identity.ErrInvalid)

func dead() error {
	return &identity.Error{Kind: ErrDead, Detail: "This took too long. Begin again."}
}

// Desk takes registrations on one node. It is safe for concurrent use.
type Desk struct {
	db    *fsm.DB
	ring  *seal.Ring
	flows *authn.Flows
	codes *mailcode.Codes
}

// New returns a Desk. flows counts wrong codes.
func New(db *fsm.DB, ring *seal.Ring, flows *authn.Flows) *Desk {
	return &Desk{db: db, ring: ring, flows: flows, codes: mailcode.New(ring, db.Now)}
}

// Begun is what is to be sent, and what the browser carries meanwhile.
type Begun struct {
	Box         string
	To          string // the address
	Taken       bool   // it is somebody's: they may be told that, and nothing else
	Code, Token string // six digits, and what a link carries
}

// Begin begins the registration of an address. It reports identity.ErrInvalid, field email,
// and identity.ErrDenied where strangers may not register. It takes as long for an address that
// is somebody's already, and writes nothing.
func (d *Desk) Begin(ctx context.Context, tenant, email string) (*Begun, error) {
	email = strings.TrimSpace(email)
	if email == "" || len(email) > maxEmail {
		return nil, identity.Invalid("email", "is not an email address")
	}
	b := &Begun{To: email}
	err := authn.Settled(ctx, d.db, func(tx *fsm.Tx) (err error) {
		b.Taken, err = possible(tx, tenant, email)
		return err
	})
	if err != nil {
		return nil, err
	}
	p := pending{Email: email, Taken: b.Taken, ID: identity.NewID(Prefix), Expires: d.db.Now().Add(mailcode.Lifetime)}
	sent, err := d.codes.New(p.mail(tenant))
	if err != nil {
		return nil, err
	}
	p.State = sent.State
	b.Code, b.Token = sent.Code, sent.Token
	b.Box, err = d.seal(pendingPurpose, tenant, &p)
	return b, err
}

// possible reports whether an address is somebody's already, or what is wrong with it.
func possible(tx *fsm.Tx, tenant, email string) (taken bool, err error) {
	s, _, err := settings.Get(tx, tenant)
	switch {
	case err != nil:
		return false, err
	case !s.SelfRegistration || !s.LocalLogin:
		return false, identity.Denied("People cannot make themselves an account here.")
	}
	err = directory.CheckUser(tx, tenant, directory.User{Username: usernameFor(email), Email: email, EmailVerified: true})
	taken = errors.Is(err, fsm.ErrExists)
	switch {
	case errors.Is(err, identity.ErrInvalid): // of the address or the username that it would be
		return false, identity.Invalid("email", "is not an email address")
	case err != nil && !taken:
		return false, err
	case !s.Registration.Admits(email):
		return false, identity.Invalid("email", "is of a domain that is not admitted here")
	}
	return taken, nil
}

// usernameFor is the address, unless it has signs that no username may have: o'neill@example.com
// signs in with the address all the same.
func usernameFor(email string) string {
	strange := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._-+@", r)
	}
	if !strings.ContainsFunc(email, strange) && !strings.ContainsAny(email[:1], "._-+@") {
		return email
	}
	return "user-" + strings.ToLower(rand.Text())
}

// Prove takes the code, or the token of the link, and returns the box of an address that is
// proved. It reports ErrDead, identity.ErrUnauthenticated for a wrong code, and
// identity.ErrLimited after five of them for the box, or too many for the address, whichever box
// they were for: then it says when to come back.
func (d *Desk) Prove(ctx context.Context, tenant, box, code string) (string, error) {
	var p pending
	if err := d.look(ctx, pendingPurpose, tenant, box, &p); err != nil {
		return "", err
	}
	if !d.db.Now().Before(p.Expires) {
		return "", dead()
	}
	if code = strings.TrimSpace(code); code == "" || len(code) > maxCode {
		return "", identity.Invalid("code", "Enter the code.")
	}
	err := d.flows.ProveAddress(ctx, tenant, p.Email, code, func() error {
		return d.codes.Check(p.State, p.mail(tenant), mailcode.Means{Code: true, Link: true}, code)
	})
	if err != nil {
		return "", err
	}
	now := d.db.Now()
	return d.seal(provedPurpose, tenant, &Proved{
		ID: cmp.Or(p.ID, identity.NewID(Prefix)), Email: p.Email, Expires: now.Add(Lifetime), At: now,
	})
}

// Address says which address a registration under way is about, for its page, or ErrDead.
func (d *Desk) Address(ctx context.Context, tenant, box string) (string, error) {
	var p pending
	err := d.look(ctx, pendingPurpose, tenant, box, &p)
	return p.Email, err
}

// A Proved address waits to be made an account with.
type Proved struct {
	ID      string    `cbor:"1,keyasint,omitempty"` // reg_…: of this registration
	Email   string    `cbor:"2,keyasint,omitempty"`
	Expires time.Time `cbor:"3,keyasint,omitempty"`
	At      time.Time `cbor:"4,keyasint,omitempty"` // when it was proved; older nodes leave it out
}

// Open returns what a box of Prove says, or ErrDead.
func (d *Desk) Open(ctx context.Context, tenant, box string) (*Proved, error) {
	var p Proved
	if err := d.look(ctx, provedPurpose, tenant, box, &p); err != nil {
		return nil, err
	}
	if !d.db.Now().Before(p.Expires) {
		return nil, dead()
	}
	if p.At.IsZero() {
		p.At = p.Expires.Add(-Lifetime)
	}
	return &p, nil
}

// Check reports what Finish would, and writes nothing: it is for what costs much beside it.
func (d *Desk) Check(tx *fsm.Tx, tenant string, p *Proved) error {
	if !tx.Now().Before(p.Expires) {
		return dead()
	}
	taken, err := possible(tx, tenant, p.Email)
	if err == nil && taken {
		err = identity.Exists("email", "is taken by another user")
	}
	if err != nil {
		return err
	}
	used, err := authn.Spent(tx, tenant, p.ID)
	if err == nil && used {
		err = dead()
	}
	return err
}

// Finish makes the account of a proved address, the only one that it ever makes, under that name to be shown, in the groups that
// the tenant has chosen; a first credential is the caller's to add in the same transaction. It
// reports ErrDead, also if it has made one that is gone or has another address, identity.ErrDenied if strangers may not register any more, and what
// directory.CreateUser does: fsm.ErrExists, field email, if somebody else has got the address.
func (d *Desk) Finish(tx *fsm.Tx, tenant string, p *Proved, name, locale string) (*directory.User, error) {
	if err := d.Check(tx, tenant, p); err != nil {
		return nil, err
	}
	if err := authn.Spend(tx, tenant, p.ID, p.Expires); err != nil {
		return nil, err
	}
	u, err := directory.CreateUser(tx, tenant, directory.User{Username: usernameFor(p.Email), Email: p.Email, EmailVerified: true, Name: name, Locale: locale})
	if err != nil {
		return nil, err
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return nil, err
	}
	for _, g := range s.Registration.Groups {
		if err := directory.AddMember(tx, tenant, g, u.ID); err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return nil, err
		}
	}
	return u, event.Append(tx, event.Event{
		Tenant: tenant, Type: event.UserRegistered, Target: event.Target{Kind: "user", ID: u.ID, Name: u.Username}, Data: map[string]string{"registration": p.ID},
	})
}

package pending

import (
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// PrefixInvitation begins the IDs of invitations.
const PrefixInvitation = "inv"

// InvitationPath is where the page of an invitation is, within a tenant; the secret follows.
const InvitationPath = "/invite/"

// Bounds of invitations.
const (
	MaxInvitation  = 30 * 24 * time.Hour
	maxInvitations = 10_000 // of a tenant that wait at a time
	maxGroups      = 50
)

// An Invitation lets whoever holds its secret make themselves an account, once.
type Invitation struct {
	Tenant string `cbor:"1,keyasint,omitempty"`
	ID     string `cbor:"2,keyasint,omitempty"`
	Hash   []byte `cbor:"3,keyasint,omitempty"` // SHA-256 of the secret

	Email      string   `cbor:"4,keyasint,omitempty"` // of the account
	Username   string   `cbor:"5,keyasint,omitempty"` // "": the person chooses
	Name       string   `cbor:"6,keyasint,omitempty"`
	GivenName  string   `cbor:"7,keyasint,omitempty"`
	FamilyName string   `cbor:"8,keyasint,omitempty"`
	Locale     string   `cbor:"9,keyasint,omitempty"`
	Admin      bool     `cbor:"10,keyasint,omitempty"`
	Groups     []string `cbor:"11,keyasint,omitempty"` // IDs; one that is gone by then is left out
	// Mailed: the secret went to Email and nowhere else, so that who follows the link has
	// proved the address.
	Mailed bool `cbor:"12,keyasint,omitempty"`

	Created time.Time      `cbor:"13,keyasint,omitempty"`
	Expires time.Time      `cbor:"14,keyasint,omitempty"`
	By      identity.Actor `cbor:"15,keyasint,omitempty"`

	// Of one that is mailed:
	Sent     time.Time     `cbor:"16,keyasint,omitempty"` // last
	Lifetime time.Duration `cbor:"17,keyasint,omitempty"` // from Sent
	Nonce    []byte        `cbor:"18,keyasint,omitempty"` // which the secret is made of; see Secret
	Key      uint32        `cbor:"19,keyasint,omitempty"` // of the ring, that makes it
}

var (
	invitations = fsm.NewTable(47, "invitations", fsm.Spec[Invitation]{
		Scope:   func(i *Invitation) fsm.Scope { return fsm.Scope(i.Tenant) },
		Key:     func(i *Invitation) fsm.Key { return fsm.K(i.ID) },
		Expires: func(i *Invitation) time.Time { return i.Expires },
	})
	invitationsByHash = invitations.Unique(1, "hash", func(i *Invitation) []fsm.Key { return []fsm.Key{fsm.K(string(i.Hash))} })
)

// Invite makes an invitation that lasts for lifetime (1 minute to MaxInvitation) and
// returns it with its secret, which cannot be had again. It reports identity.ErrInvalid,
// fsm.ErrExists where the address or name belongs to somebody already, and fsm.ErrNotFound
// for a group that is not there. The caller has made sure that every member of the
// cluster reads such rows.
func Invite(tx *fsm.Tx, tenant string, i Invitation, lifetime time.Duration) (*Invitation, string, error) {
	secret, hash := newSecret()
	i.Hash = hash
	made, err := i.insert(tx, tenant, lifetime)
	return made, secret, err
}

// insert adds i, whose secret is known.
func (i Invitation) insert(tx *fsm.Tx, tenant string, lifetime time.Duration) (*Invitation, error) {
	if lifetime < time.Minute || lifetime > MaxInvitation {
		return nil, identity.Invalid("expires_in", fmt.Sprintf("must be a minute to %d days", int(MaxInvitation.Hours()/24)))
	}
	if i.Email == "" {
		return nil, identity.Invalid("email", "is required: it says who is invited")
	}
	if err := i.possible(tx, tenant); err != nil {
		return nil, err
	}
	n := 0
	for _, err := range invitations.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return nil, err
		}
		if n++; n >= maxInvitations {
			return nil, identity.Denied("Too many invitations are waiting. Take some back first.")
		}
	}
	i.Tenant, i.Created, i.Expires, i.By = tenant, tx.Now(), tx.Now().Add(lifetime), identity.ActorFrom(tx.Context())
	if i.ID == "" {
		i.ID = identity.NewID(PrefixInvitation)
	}
	if err := invitations.Insert(tx, &i); err != nil {
		return nil, err
	}
	return &i, i.tell(tx, event.InvitationCreated)
}

// possible finds out now what would be wrong later: it makes the account and forgets it.
func (i *Invitation) possible(tx *fsm.Tx, tenant string) error {
	if len(i.Groups) > maxGroups {
		return identity.Invalid("groups", fmt.Sprintf("must be at most %d", maxGroups))
	}
	for _, g := range i.Groups {
		if _, _, err := directory.GetGroup(tx, tenant, g); err != nil {
			if errors.Is(err, fsm.ErrNotFound) {
				return identity.NotFound("There is no group " + identity.Printable(g, 64) + ".")
			}
			return err
		}
	}
	return directory.CheckUser(tx, tenant, i.user(i.Username))
}

func (i *Invitation) user(username string) directory.User {
	if username == "" {
		username = i.Email
	}
	return directory.User{
		Username: username, Email: i.Email, EmailVerified: i.Mailed, Name: i.Name, GivenName: i.GivenName, FamilyName: i.FamilyName,
		Locale: i.Locale, Admin: i.Admin,
	}
}

// FindInvitation returns the invitation that a secret belongs to, or fsm.ErrNotFound with a
// sentence for the person.
func FindInvitation(tx *fsm.Tx, tenant, secret string) (*Invitation, error) {
	gone := identity.NotFound("This invitation has been used, taken back, or has expired. Ask whoever invited you for another.")
	if !wellFormed(secret) {
		return nil, gone
	}
	i, err := invitationsByHash.Get(tx, fsm.Scope(tenant), fsm.K(string(hashOf(secret))))
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !tx.Now().Before(i.Expires) {
		return nil, gone
	}
	return i, err
}

// An Acceptance is what the person adds to an invitation.
type Acceptance struct {
	Username   string // counts where the invitation has none; "": the address
	Name       string // "": that of the invitation
	GivenName  string
	FamilyName string
	Locale     string
}

// made is the user as far as an invitation and its acceptance say.
func (i *Invitation) made(a Acceptance) directory.User {
	who := i.user(i.Username)
	if i.Username == "" && a.Username != "" {
		who.Username = a.Username
	}
	for _, f := range []struct{ to, from *string }{
		{&who.Name, &a.Name}, {&who.GivenName, &a.GivenName}, {&who.FamilyName, &a.FamilyName}, {&who.Locale, &a.Locale},
	} {
		if *f.from != "" {
			*f.to = *f.from
		}
	}
	return who
}

// CheckAcceptance reports what Accept would, and writes nothing.
func CheckAcceptance(tx *fsm.Tx, tenant, secret string, a Acceptance) error {
	i, err := FindInvitation(tx, tenant, secret)
	if err != nil {
		return err
	}
	return directory.CheckUser(tx, tenant, i.made(a))
}

// Accept spends an invitation and makes the account; a first credential is the caller's
// to add in the same transaction. It reports what FindInvitation and directory.CreateUser report.
func Accept(tx *fsm.Tx, tenant, secret string, a Acceptance) (*directory.User, error) {
	i, err := FindInvitation(tx, tenant, secret)
	if err != nil {
		return nil, err
	}
	if err := invitations.Delete(tx, fsm.Scope(tenant), fsm.K(i.ID)); err != nil {
		return nil, err
	}
	u, err := directory.CreateUser(tx, tenant, i.made(a))
	if err != nil {
		return nil, err
	}
	for _, g := range i.Groups {
		if err := directory.AddMember(tx, tenant, g, u.ID); err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return nil, err
		}
	}
	return u, i.tell(tx, event.InvitationAccepted)
}

// ListInvitations returns those of a tenant that wait, the oldest first.
func ListInvitations(tx *fsm.Tx, tenant, after string, limit int) (rows []Invitation, next string, err error) {
	if !fsm.ValidCursor(after) {
		return nil, "", identity.Invalid("after", "is not a cursor of this list")
	}
	for i, err := range invitations.List(tx, fsm.Scope(tenant), fsm.After(after)) {
		if err != nil {
			return nil, "", err
		}
		if !tx.Now().Before(i.Expires) {
			continue
		}
		if len(rows) == limit {
			return rows, invitations.Cursor(&rows[limit-1]), nil
		}
		rows = append(rows, *i)
	}
	return rows, "", nil
}

// Uninvite takes an invitation back, or reports fsm.ErrNotFound.
func Uninvite(tx *fsm.Tx, tenant, id string) error {
	i, err := invitations.Get(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil {
		return err
	}
	if err := invitations.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	return i.tell(tx, event.InvitationDeleted)
}

// tell writes what happened. Whoever sends mail follows these events, and sees by the data
// that there is something to send.
func (i *Invitation) tell(tx *fsm.Tx, what event.Type) error {
	e := event.Event{Tenant: i.Tenant, Type: what, Target: event.Target{Kind: "invitation", ID: i.ID, Name: i.Email}}
	if len(i.Nonce) > 0 && (what == event.InvitationCreated || what == event.InvitationSent) {
		e.Data = map[string]string{"mail": "yes"}
	}
	return event.Append(tx, e)
}

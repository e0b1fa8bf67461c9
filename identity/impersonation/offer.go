package impersonation

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
)

const (
	purpose   = "impersonation"
	lifetime  = 5 * time.Minute
	grace     = time.Hour // that the mark of a used ticket is kept longer, for clocks that differ
	maxReason = 200       // bytes
	maxTicket = 2 << 10
)

// Tables are the definitions that a store needs for tickets.
var Tables = []fsm.Definition{used}

// An Offer is an administrator's leave to act as somebody else, as its ticket says.
type Offer struct {
	ID     string                `cbor:"1,keyasint,omitempty"`
	Tenant string                `cbor:"2,keyasint,omitempty"`
	UserID string                `cbor:"3,keyasint,omitempty"` // whom they will act as
	By     session.Impersonation `cbor:"4,keyasint,omitempty"`
	Life   time.Duration         `cbor:"5,keyasint,omitempty"` // of the session
	Until  time.Time             `cbor:"6,keyasint,omitempty"` // of the ticket
}

// A usedOffer is one that has made its session: that there is the row makes it single-use.
type usedOffer struct {
	Tenant  string    `cbor:"1,keyasint,omitempty"`
	ID      string    `cbor:"2,keyasint,omitempty"`
	Expires time.Time `cbor:"3,keyasint,omitempty"`
}

var used = fsm.NewTable(73, "used_impersonation_offers", fsm.Spec[usedOffer]{
	Scope:     func(u *usedOffer) fsm.Scope { return fsm.Scope(u.Tenant) },
	Key:       func(u *usedOffer) fsm.Key { return fsm.K(u.ID) },
	Expires:   func(u *usedOffer) time.Time { return u.Expires },
	Transient: true,
})

// ErrDead is the kind of a ticket that is none, too old, or used. It is an identity.ErrInvalid.
var ErrDead = fmt.Errorf("ticket is dead: %w", identity.ErrInvalid)

func dead() error {
	return &identity.Error{Kind: ErrDead, Detail: "This link no longer works. It is good once, and for five minutes."}
}

// Offers makes, opens and uses tickets. It is safe for concurrent use.
type Offers struct {
	db       *fsm.DB
	ring     *seal.Ring
	sessions *session.Store
}

// New returns Offers.
func New(db *fsm.DB, ring *seal.Ring, sessions *session.Store) *Offers {
	return &Offers{db, ring, sessions}
}

// Make gives the actor of ctx a ticket by which to act as a user of tenant, for as long as life
// says and session.MaxImpersonation allows: one log entry. It reports identity.ErrDenied as
// session.MayImpersonate does, and to whoever is no person with an account;
// identity.ErrInvalid, field reason, without one; fsm.ErrNotFound if there is no such user.
//
// The caller has made sure that every member of the cluster knows impersonations.
func (m *Offers) Make(ctx context.Context, tenant, userID, reason string, life time.Duration) (ticket string, o *Offer, err error) {
	actor := identity.ActorFrom(ctx)
	if actor.Kind != identity.ActorUser || actor.Impersonator != "" {
		return "", nil, identity.Denied("Whoever acts as somebody else has to be a person with an account: send the access token of an admin user.")
	}
	reason = strings.TrimSpace(reason)
	if reason == "" || reason != identity.Printable(reason, maxReason) {
		return "", nil, identity.Invalid("reason", fmt.Sprintf("must be plain text of 1 to %d bytes", maxReason))
	}
	o = &Offer{ID: identity.NewID(identity.PrefixFlow), Tenant: tenant, UserID: userID, Life: min(life, session.MaxImpersonation)}
	err = m.db.Update(ctx, func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, tenant, userID)
		if err != nil {
			return err
		}
		home := tenant
		if _, _, err := directory.GetUser(tx, tenant, actor.ID); errors.Is(err, fsm.ErrNotFound) {
			home = identity.DefaultTenant // no other tenant's administrators act beyond it
		} else if err != nil {
			return err
		}
		o.Until = tx.Now().Add(lifetime)
		if o.By, err = session.ActingAs(tx, home, actor.ID, reason); err != nil {
			return err
		}
		if err := session.MayImpersonate(tx, tenant, userID, o.By); err != nil {
			return err
		}
		return event.Append(tx, event.Event{
			Tenant: tenant, Type: event.ImpersonationOffered, Target: event.Target{Kind: "user", ID: u.ID, Name: u.Username},
			Data: map[string]string{"reason": reason, "life": o.Life.String()},
		})
	})
	if err != nil {
		return "", nil, fmt.Errorf("offer impersonation: %w", err)
	}
	ticket, err = note.Seal(m.ring, m.ring.Passing(purpose), tenant, o)
	return ticket, o, err
}

// Open returns what a ticket of the context's tenant says, or ErrDead. It writes nothing.
func (m *Offers) Open(ctx context.Context, ticket string) (*Offer, error) {
	tenant := identity.TenantFrom(ctx).ID
	o := &Offer{}
	err := note.Open(m.ring, m.ring.Passing(purpose), tenant, ticket, maxTicket, o)
	if errors.Is(err, seal.ErrBox) || err == nil && o.Tenant != tenant {
		return nil, dead()
	}
	if err != nil {
		return nil, err
	}
	if err := m.db.View(ctx, o.alive); err != nil {
		return nil, err
	}
	return o, nil
}

func (o *Offer) alive(tx *fsm.Tx) error {
	has, err := used.Has(tx, fsm.Scope(o.Tenant), fsm.K(o.ID))
	if err == nil && (has || !tx.Now().Before(o.Until)) {
		err = dead()
	}
	return err
}

// Use uses an offer up and begins the session: one log entry. Of two who use it at once, on
// whatever nodes, one begins. Whether its administrator may is asked anew. It reports ErrDead and
// identity.ErrDenied.
func (m *Offers) Use(ctx context.Context, o *Offer) (cookie string, s *session.Session, err error) {
	var started *session.Started
	var excess []string
	// Outside the Update, so that the person's own sign-ins do not conflict with it.
	err = m.db.View(ctx, func(tx *fsm.Tx) (err error) {
		excess, err = session.Excess(tx, o.Tenant, o.UserID, session.MaxPerUser-1)
		return err
	})
	if err == nil {
		err = m.db.Update(ctx, func(tx *fsm.Tx) (err error) {
			if err := o.alive(tx); err != nil {
				return err
			}
			for _, id := range excess {
				if err := session.End(tx, o.Tenant, id); err != nil {
					return err
				}
			}
			if started, err = m.sessions.Impersonate(tx, o.Tenant, o.UserID, o.By, o.Life); err != nil {
				return err
			}
			return used.Insert(tx, &usedOffer{Tenant: o.Tenant, ID: o.ID, Expires: o.Until.Add(grace)})
		})
	}
	if err != nil {
		return "", nil, fmt.Errorf("begin impersonation: %w", err)
	}
	if cookie, err = m.sessions.Cookie(started); err != nil {
		return "", nil, err
	}
	return cookie, &started.Session, nil
}

package regain

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/factor"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// Bounds of how long a link works.
const (
	minLink    = 5 * time.Minute
	MaxLink    = 7 * 24 * time.Hour
	secretSize = 32 // random bytes
)

// NewLink makes a recovery by a link that lasts for lifetime (five minutes to MaxLink),
// and returns it with the link's secret, which cannot be had again. It is the way into an account, too, that
// nobody was in yet: then it is quiet, and nothing rests afterwards. It takes the place of
// what waited before. Where the tenant wants two administrators the link is of no use
// before Approve. Whoever acts must be known from the context, and cannot be the user. It
// reports identity.ErrInvalid, identity.ErrDenied and fsm.ErrNotFound. The caller has made
// sure that every member of the cluster reads such rows.
func NewLink(tx *fsm.Tx, tenant, userID string, lifetime time.Duration) (*Recovery, string, error) {
	if lifetime < minLink || lifetime > MaxLink {
		return nil, "", identity.Invalid("expires_in", fmt.Sprintf("must be 5 minutes to %d days", int(MaxLink.Hours()/24)))
	}
	by := identity.ActorFrom(tx.Context())
	if by.ID == userID {
		return nil, "", identity.Denied("You cannot recover your own account. Ask another administrator.")
	}
	u, _, err := directory.GetUser(tx, tenant, userID)
	if err != nil {
		return nil, "", err
	}
	if u.Disabled {
		return nil, "", identity.Denied("This user is disabled. Enable the account first.")
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return nil, "", err
	}
	old, err := row(tx, tenant, userID)
	if err != nil {
		return nil, "", err
	}
	b := make([]byte, secretSize)
	rand.Read(b)
	secret, now := base64.RawURLEncoding.EncodeToString(b), tx.Now()
	r := &Recovery{
		Tenant: tenant, UserID: userID, ID: identity.NewID(Prefix), Kind: ByLink, By: by,
		Begun: now, Ready: now, Expires: now.Add(lifetime), Hash: hashOf(secret), Pair: s.Recovery.TwoPerson,
	}
	if r.First, err = unused(tx, u); err != nil {
		return nil, "", err
	}
	if old != nil {
		r.Rests, r.Shut = old.Rests, old.Shut
	}
	if old.waits(now) {
		ended := map[string]string{"reason": "another took its place"}
		if !r.First { // the letter about r says all there is to say
			ended[QuietKey] = "yes"
		}
		if err := old.tell(tx, event.RecoveryCancelled, s, ended); err != nil {
			return nil, "", err
		}
	}
	if err := recoveries.Put(tx, r); err != nil {
		return nil, "", err
	}
	return r, secret, r.tell(tx, event.RecoveryStarted, s, nil)
}

// unused reports whether a user has nothing to sign in with, and nobody was ever in their account.
func unused(tx *fsm.Tx, u *directory.User) (bool, error) {
	set, err := credential.PasswordSet(tx, u.Tenant, u.ID)
	if err != nil || !set.IsZero() {
		return false, err
	}
	if has, err := factor.Any(tx, u.Tenant, u.ID); err != nil || has {
		return false, err
	}
	last, err := session.LastSignin(tx, u.Tenant, u.ID)
	return last.IsZero(), err
}

// stillFirst takes it back that nobody was in the account, if somebody came in while the link waited.
func (r *Recovery) stillFirst(tx *fsm.Tx) error {
	last, err := session.LastSignin(tx, r.Tenant, r.UserID)
	r.First = r.First && last.IsZero()
	return err
}

func hashOf(secret string) []byte {
	h := sha256.Sum256([]byte(secret))
	return h[:]
}

// Approve has a second administrator agree with the link of a user, which has the ID id:
// what took its place meanwhile nobody has agreed with. The user cannot, and who else can
// settings.Second says. It reports fsm.ErrNotFound, and identity.ErrDenied. To approve twice changes nothing.
func Approve(tx *fsm.Tx, tenant, userID, id string) (*Recovery, error) {
	r, err := Waiting(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	if r == nil || r.ID != id || r.Kind != ByLink {
		return nil, identity.NotFound("There is no such recovery, or it is over.")
	}
	by := identity.ActorFrom(tx.Context())
	switch {
	case !r.Pair || !r.Approved.IsZero():
		return r, nil
	case by.ID == userID:
		return nil, identity.Denied("You cannot approve the recovery of your own account. Ask another administrator.")
	}
	if err := settings.Second(tx, tenant, r.By); err != nil {
		return nil, err
	}
	r.Approver, r.Approved = by, tx.Now()
	if err := recoveries.Put(tx, r); err != nil {
		return nil, err
	}
	s, _, err := settings.Get(tx, tenant)
	if err != nil {
		return nil, err
	}
	return r, r.tell(tx, event.RecoveryApproved, s, nil)
}

// Single returns nil unless the tenant wants two administrators to agree before somebody is
// let back in, and only one asks, who would do by other means what a link does.
func Single(tx *fsm.Tx, tenant string) error {
	if two, err := settings.WantsTwo(tx, tenant); err != nil || !two {
		return err
	}
	return identity.Denied("Two administrators have to agree here. Make a recovery link, which another one approves.")
}

// SingleFor is [Single] for what everybody may do to their own account.
func SingleFor(tx *fsm.Tx, tenant, userID string) error {
	if by := identity.ActorFrom(tx.Context()); by.Kind == identity.ActorUser && by.ID == userID {
		return nil
	}
	return Single(tx, tenant)
}

// Follow returns the recovery whose link has this secret. It reports fsm.ErrNotFound for
// one that is used up, and identity.ErrDenied for one that a second administrator has not
// approved yet. It changes nothing: mail programs look at links before people do.
func Follow(tx *fsm.Tx, tenant, secret string) (*Recovery, error) {
	gone := identity.NotFound("This link has been used, taken back, or has expired.")
	if len(secret) != base64.RawURLEncoding.EncodedLen(secretSize) { // costs no look-up
		return nil, gone
	}
	r, err := byHash.Get(tx, fsm.Scope(tenant), fsm.K(string(hashOf(secret))))
	if errors.Is(err, fsm.ErrNotFound) || err == nil && !r.waits(tx.Now()) {
		return nil, gone
	}
	if err == nil && r.State(tx.Now()) == Unapproved {
		return nil, identity.Denied("A second administrator has to approve this link first.")
	}
	if err == nil {
		err = r.stillFirst(tx)
	}
	return r, err
}

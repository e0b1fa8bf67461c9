package pending

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const secretPurpose = "invitation"

// InviteByMail is Invite for an invitation whose link is mailed to the person and shown to
// nobody: whoever follows it has proved the address. The event says that there is mail to be
// sent; whoever sends it asks for Secret then.
func InviteByMail(tx *fsm.Tx, ring *seal.Ring, tenant string, i Invitation, lifetime time.Duration) (*Invitation, error) {
	i.ID, i.Tenant = identity.NewID(PrefixInvitation), tenant
	if err := i.mail(tx, ring, lifetime); err != nil {
		return nil, err
	}
	return i.insert(tx, tenant, lifetime)
}

// Resend has an invitation mailed again, or for the first time if its link had been shown. It
// gets a new link, which is good for as long as the first one was; the former one is dead. It
// reports fsm.ErrNotFound, and what Invite reports if it could no longer be accepted.
func Resend(tx *fsm.Tx, ring *seal.Ring, tenant, id string) (*Invitation, error) {
	i, err := invitations.Get(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil {
		return nil, err
	}
	if err := i.possible(tx, tenant); err != nil && !errors.Is(err, fsm.ErrNotFound) { // a group may have gone
		return nil, err
	}
	lifetime := i.Lifetime
	if lifetime == 0 {
		lifetime = i.Expires.Sub(i.Created)
	}
	if err := i.mail(tx, ring, lifetime); err != nil {
		return nil, err
	}
	i.Expires = tx.Now().Add(lifetime)
	if err := invitations.Put(tx, i); err != nil {
		return nil, err
	}
	return i, i.tell(tx, event.InvitationSent)
}

// mail gives i a secret that can be made again by whoever has the ring: what is to be sent
// need not be in the log, and survives the node that was asked to send it.
func (i *Invitation) mail(tx *fsm.Tx, ring *seal.Ring, lifetime time.Duration) error {
	i.Mailed, i.Sent, i.Lifetime, i.Key = true, tx.Now(), lifetime, ring.CurrentKey()
	if i.Key == 0 {
		return fmt.Errorf("make invitation: no sealing key yet: %w", fsm.ErrUnavailable)
	}
	i.Nonce = make([]byte, 16)
	rand.Read(i.Nonce)
	secret, err := i.Secret(ring)
	i.Hash = hashOf(secret)
	return err
}

// Secret is that of the link of an invitation that is mailed. It reports fsm.ErrNotFound for
// one whose link was shown: nobody has that any more.
func (i *Invitation) Secret(ring *seal.Ring) (string, error) {
	if len(i.Nonce) == 0 {
		return "", fmt.Errorf("invitation %s is not mailed: %w", i.ID, fsm.ErrNotFound)
	}
	sum, err := ring.MAC(secretPurpose, i.Key, append([]byte(i.Tenant+"/"+i.ID+"/"), i.Nonce...))
	if err != nil {
		return "", fmt.Errorf("link of invitation: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum[:]), nil
}

// GetInvitation returns an invitation that still waits, or fsm.ErrNotFound.
func GetInvitation(tx *fsm.Tx, tenant, id string) (*Invitation, error) {
	i, err := invitations.Get(tx, fsm.Scope(tenant), fsm.K(id))
	if err == nil && !tx.Now().Before(i.Expires) {
		return nil, fmt.Errorf("invitation has expired: %w", fsm.ErrNotFound)
	}
	return i, err
}

package form

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A Phase is how far the rotation of the authority is.
type Phase string

// The phases, in their order.
const (
	Stable     Phase = "stable"     // one authority; no rotation is under way
	Distribute Phase = "distribute" // the next one is being made known to every member
	Switch     Phase = "switch"     // it signs; every member gets a certificate from it
)

// Phase returns where the row stands.
func (a *Authority) Phase() Phase {
	switch {
	case len(a.Next) > 0:
		return Distribute
	case len(a.Former) > 0:
		return Switch
	}
	return Stable
}

// Fingerprint names an authority to people: the first half of the hash of its public key.
func Fingerprint(cert []byte) string {
	a := Authority{Cert: cert}
	c, err := a.issuer()
	if err != nil {
		return ""
	}
	pin := Pin(c)
	return hex.EncodeToString(pin[:16])
}

// A Stand is what a member says about its part in a rotation.
type Stand struct {
	Revision uint64 `cbor:"1,keyasint,omitempty"` // of the authority that it goes by, on disk and in use
	Issuer   string `cbor:"2,keyasint,omitempty"` // fingerprint of the authority of its certificate

	// Roots are the fingerprints of the root keys that it knows, the one in use first;
	// none: its release knows but one.
	Roots []string `cbor:"3,keyasint,omitempty"`
}

// Stand returns what this node has to say about a rotation.
func (id *Identity) Stand() *Stand {
	return &Stand{Revision: id.secret.Authority.Revision, Issuer: Fingerprint(id.TLS.Authority.Raw)}
}

// lags says what a member still has to do before the rotation may go on, or nothing.
func (a *Authority) lags(s *Stand) string {
	switch {
	case s == nil:
		return "its release knows no rotation: upgrade it"
	case s.Revision < a.Revision:
		return "it has not taken over the authorities yet"
	case a.Phase() == Switch && s.Issuer != Fingerprint(a.Cert):
		return "it has no certificate of the new authority yet"
	}
	return ""
}

// A MemberStand is what one member said, or why it said nothing.
type MemberStand struct {
	Node  string
	Stand *Stand // nil if its release knows no rotation, or with Err
	Err   error
}

// Waiting says for what the rotation in a waits at the member, or nothing.
func (a *Authority) Waiting(m MemberStand) string {
	if m.Err != nil {
		return "it does not answer: start it, or remove it from the cluster"
	}
	return a.lags(m.Stand)
}

// BeginRotation makes the next authority and has everybody told of it. While a rotation is
// under way it does nothing.
func BeginRotation(ctx context.Context, db *fsm.DB, root *seal.RootKey, hook Hook) error {
	row, err := StoredAuthority(ctx, db)
	if err == nil && row == nil {
		err = fmt.Errorf("the cluster is still being founded: %w", fsm.ErrUnavailable)
	}
	if err != nil {
		return fmt.Errorf("rotate authority: %w", err)
	}
	a, err := wire.NewAuthority(row.ClusterID, time.Now())
	if err != nil {
		return err
	}
	next, err := wrapAuthority(a, root)
	if err != nil {
		return err
	}
	return db.Update(ctx, func(tx *fsm.Tx) error {
		now, err := authorities.Get(tx, fsm.Global, authorityKey)
		if err != nil {
			return err
		}
		if now.Phase() != Stable || now.Revision != row.Revision {
			return nil // somebody else was quicker
		}
		now.Next, now.NextSealed = next.Cert, next.SealedKey
		now.step(tx)
		if err := authorities.Put(tx, now); err != nil {
			return err
		}
		return hook.tell(tx, RotationStarted, Fingerprint(now.Next), map[string]string{"former": Fingerprint(now.Cert)})
	})
}

// AdvanceRotation goes one step on from what the caller has seen, which every member must
// have confirmed. If the row has moved since, it does nothing.
func AdvanceRotation(ctx context.Context, db *fsm.DB, seen *Authority, hook Hook) error {
	return db.Update(ctx, func(tx *fsm.Tx) error {
		now, err := authorities.Get(tx, fsm.Global, authorityKey)
		if err != nil {
			return err
		}
		if now.Revision != seen.Revision {
			return nil
		}
		switch now.Phase() {
		case Stable:
			return nil
		case Distribute:
			now.Cert, now.SealedKey, now.Former = now.Next, now.NextSealed, now.Cert
			now.Next, now.NextSealed = nil, nil
			now.step(tx)
			return authorities.Put(tx, now)
		}
		former := Fingerprint(now.Former)
		now.Former = nil
		now.step(tx)
		if err := authorities.Put(tx, now); err != nil {
			return err
		}
		return hook.tell(tx, AuthorityRotated, Fingerprint(now.Cert), map[string]string{"former": former})
	})
}

func (a *Authority) step(tx *fsm.Tx) {
	a.Revision++
	a.Since = tx.Now().UnixMilli()
}

package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// Mark says by what the page of a session knows whether its browser has the subscription that
// is known here, without naming it: a hash of the endpoint. It is empty if there is none, or one that
// is bound to another key than browsers should subscribe with now. told: this browser is to be told at all.
func Mark(tx *fsm.Tx, tenant, userID, session string) (mark string, told bool, err error) {
	s, err := get(tx, tenant, userID, session)
	if err != nil || s == nil {
		return "", false, err
	}
	pair, err := pairOf(tx, s)
	if err != nil {
		return "", false, err
	}
	if s.Endpoint == "" || pair == nil || !pair.Retired.IsZero() || pair.due(tx.Now()) {
		return "", true, nil
	}
	sum := sha256.Sum256([]byte(s.Endpoint))
	return base64.RawURLEncoding.EncodeToString(sum[:]), true, nil
}

// Follow keeps what the browser of a session has now in the place of what it had before; the
// caller's is what [Subscribe] says. What is the same is not written. It reports fsm.ErrNotFound
// for a session whose person has not asked to be told in it: a script alone subscribes nobody.
func Follow(tx *fsm.Tx, s Subscription) error {
	old, err := subscriptions.Get(tx, fsm.Scope(s.Tenant), s.key())
	if err != nil || s.same(old) {
		return err
	}
	s.Language = old.Language
	return Subscribe(tx, s)
}

func (s *Subscription) same(o *Subscription) bool {
	return s.Endpoint == o.Endpoint && bytes.Equal(s.P256DH, o.P256DH) && bytes.Equal(s.Auth, o.Auth) && bytes.Equal(s.Key, o.Key)
}

// lose gives up a subscription that its push service calls gone, unless its session has made
// another meanwhile. The row stays: browsers change a subscription and say nothing.
func lose(tx *fsm.Tx, s *Subscription) error {
	now, err := subscriptions.Get(tx, fsm.Scope(s.Tenant), s.key())
	if errors.Is(err, fsm.ErrNotFound) {
		return nil
	}
	if err != nil || now.Endpoint != s.Endpoint {
		return err
	}
	now.Endpoint, now.P256DH, now.Auth, now.Key = "", nil, nil, nil
	return subscriptions.Put(tx, now)
}

package push

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// ErrGone is what [Follow] reports for an endpoint that its push service has called gone, which the
// browser does not know yet.
var ErrGone = errors.New("push subscription is gone")

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
	return base64.RawURLEncoding.EncodeToString(s.hash()), true, nil
}

// Follow keeps what the browser of a session has now in the place of what it had before; the
// caller's is what [Subscribe] says. What is the same is not written. It reports fsm.ErrNotFound
// for a session whose person has not asked to be told in it: a script alone subscribes nobody. What
// its push service has called gone is not kept again: [ErrGone].
func Follow(tx *fsm.Tx, s Subscription) error {
	old, err := subscriptions.Get(tx, fsm.Scope(s.Tenant), s.key())
	if err != nil || s.same(old) {
		return err
	}
	if bytes.Equal(s.hash(), old.Gone) {
		return ErrGone
	}
	s.Language = old.Language
	return Subscribe(tx, s)
}

func (s *Subscription) same(o *Subscription) bool {
	return s.Endpoint == o.Endpoint && bytes.Equal(s.P256DH, o.P256DH) && bytes.Equal(s.Auth, o.Auth) && bytes.Equal(s.Key, o.Key)
}

func (s *Subscription) hash() []byte {
	sum := sha256.Sum256([]byte(s.Endpoint))
	return sum[:]
}

// lose gives up a subscription that its push service calls gone, unless its session has made
// another meanwhile. The row stays: browsers change a subscription and say nothing, and this one has
// what is gone until a page of ours is opened.
func lose(tx *fsm.Tx, s *Subscription) error {
	now, err := get(tx, s.Tenant, s.UserID, s.Session)
	if err != nil || now == nil || now.Endpoint != s.Endpoint {
		return err
	}
	now.Gone = now.hash()
	now.Endpoint, now.P256DH, now.Auth, now.Key = "", nil, nil, nil
	return subscriptions.Put(tx, now)
}

package push

import (
	"crypto/ecdh"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/language"
)

const (
	maxPerUser  = 5    // browsers of one person, as many as may approve; the oldest gives way
	maxEndpoint = 1000 // bytes
	authSize    = 16   // RFC 8291, section 3.2
	pointSize   = 65   // of P-256, uncompressed
)

// A Subscription is where the browser of a session is sent messages. One without an endpoint is
// gone at its push service: its person still wants to be told, and the browser's next is kept
// in its place ([Follow]).
type Subscription struct {
	Tenant   string       `cbor:"1,keyasint,omitempty"`
	UserID   string       `cbor:"2,keyasint,omitempty"`
	Session  string       `cbor:"3,keyasint,omitempty"`
	Endpoint string       `cbor:"4,keyasint,omitempty" json:"-"` // URL at the push service: whoever knows it may try to send there
	P256DH   []byte       `cbor:"5,keyasint,omitempty" json:"-"` // the browser's public key, an uncompressed point
	Auth     []byte       `cbor:"6,keyasint,omitempty" json:"-"` // secret of the browser and us
	Language language.Tag `cbor:"7,keyasint,omitempty"`          // of the page that it was made on
	Created  time.Time    `cbor:"8,keyasint,omitempty"`
	Expires  time.Time    `cbor:"9,keyasint,omitempty"` // with the session

	Key  []byte `cbor:"10,keyasint,omitempty" json:"-"` // of the cluster, that the browser has bound it to; nil: it has not said
	Gone []byte `cbor:"11,keyasint,omitempty" json:"-"` // SHA-256 of the endpoint that its push service has called gone
}

// After the restore of a backup there are no sessions, so nobody may be told either.
var subscriptions = fsm.NewTable(93, "push_subscriptions", fsm.Spec[Subscription]{
	Scope:     func(s *Subscription) fsm.Scope { return fsm.Scope(s.Tenant) },
	Key:       func(s *Subscription) fsm.Key { return fsm.K(s.UserID, s.Session) },
	Expires:   func(s *Subscription) time.Time { return s.Expires },
	Transient: true,
})

// Tables are the definitions that a store needs for push messages.
var Tables = []fsm.Definition{subscriptions, keyPairs}

// Read makes a subscription of what a browser's script sends: the parts of a PushSubscription
// in its JSON form, and the key that it is bound to, which may be empty. It reports
// identity.ErrInvalid for what is none.
func Read(endpoint, p256dh, auth, key string) (Subscription, error) {
	bad := func(field string) (Subscription, error) {
		return Subscription{}, identity.Invalid(field, "This browser's push subscription cannot be read.")
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "https" || u.Host == "" || len(endpoint) > maxEndpoint {
		return bad("endpoint")
	}
	s := Subscription{Endpoint: endpoint}
	if s.P256DH, err = unpadded(p256dh); err != nil || len(s.P256DH) != pointSize {
		return bad("p256dh")
	}
	if _, err := ecdh.P256().NewPublicKey(s.P256DH); err != nil {
		return bad("p256dh")
	}
	if s.Auth, err = unpadded(auth); err != nil || len(s.Auth) != authSize {
		return bad("auth")
	}
	if s.Key, err = unpadded(key); err != nil || key != "" && len(s.Key) != pointSize {
		return bad("key")
	}
	return s, nil
}

// unpadded reads base64url as browsers write it, and as some write it, with padding.
func unpadded(s string) ([]byte, error) {
	return base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
}

// Subscribe keeps s, in the place of what its session had before. Tenant, UserID, Session and
// Expires are the caller's, who has seen in this transaction that the session stands, and
// that the endpoint may be dialled. Of more than five of one person the oldest go.
func Subscribe(tx *fsm.Tx, s Subscription) error {
	if s.UserID == "" || s.Session == "" || s.Endpoint == "" || s.Expires.IsZero() {
		return fmt.Errorf("push subscription lacks what it is bound to: %w", identity.ErrInvalid)
	}
	all, err := Of(tx, s.Tenant, s.UserID)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(o Subscription) bool { return o.Session == s.Session })
	slices.SortFunc(all, func(a, b Subscription) int { return a.Created.Compare(b.Created) })
	for len(all) >= maxPerUser {
		if err := subscriptions.Delete(tx, fsm.Scope(s.Tenant), all[0].key()); err != nil {
			return err
		}
		all = all[1:]
	}
	s.Created = tx.Now()
	return subscriptions.Put(tx, &s)
}

func (s *Subscription) key() fsm.Key { return fsm.K(s.UserID, s.Session) }

// Of returns the subscriptions of a user, by session.
func Of(tx *fsm.Tx, tenant, userID string) (all []Subscription, err error) {
	for s, err := range subscriptions.List(tx, fsm.Scope(tenant), fsm.Prefix(fsm.K(userID))) {
		if err != nil {
			return nil, err
		}
		all = append(all, *s)
	}
	return all, nil
}

// get returns what a session has, nil if nothing.
func get(tx *fsm.Tx, tenant, userID, session string) (*Subscription, error) {
	s, err := subscriptions.Get(tx, fsm.Scope(tenant), fsm.K(userID, session))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

// Subscribed reports whether the browser of a session is sent messages.
func Subscribed(tx *fsm.Tx, tenant, userID, session string) (bool, error) {
	s, err := get(tx, tenant, userID, session)
	return s != nil && s.Endpoint != "", err
}

// Forget removes the subscription of a session, if it has one, and the wish for one.
func Forget(tx *fsm.Tx, tenant, userID, session string) error {
	has, err := subscriptions.Has(tx, fsm.Scope(tenant), fsm.K(userID, session))
	if err != nil || !has {
		return err
	}
	return subscriptions.Delete(tx, fsm.Scope(tenant), fsm.K(userID, session))
}

// Prolong has the subscription of a session, if it has one, last until the session ends anew.
func Prolong(tx *fsm.Tx, tenant, userID, session string, until time.Time) error {
	s, err := get(tx, tenant, userID, session)
	if err != nil || s == nil {
		return err
	}
	s.Expires = until
	return subscriptions.Put(tx, s)
}

package push

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	keyPurpose    = "push server key"
	tokenLifetime = time.Hour // RFC 8292, section 2: at most a day; clocks differ
)

// A keyPair is what push services know this cluster by. Subscriptions are bound to it.
type keyPair struct {
	Public  []byte    `cbor:"1,keyasint,omitempty"` // uncompressed point of P-256
	Sealed  []byte    `cbor:"2,keyasint,omitempty"` // the private key
	Created time.Time `cbor:"3,keyasint,omitempty"`
	Retired time.Time `cbor:"4,keyasint,omitempty"` // zero: browsers subscribe with it
}

// There are two at most: the one that browsers subscribe with, and the one before.
var (
	keyPairs = fsm.NewTable(95, "push_keys", fsm.Spec[keyPair]{Key: func(p *keyPair) fsm.Key {
		if p.Retired.IsZero() {
			return pairKey
		}
		return formerKey
	}})
	pairKey, formerKey = fsm.K("vapid"), fsm.K("former vapid")
)

// keyLife is how long browsers subscribe with a key: as long as a session can last whose person does
// not come back. So all who come back have a newer one before theirs is forgotten.
const keyLife = 365 * 24 * time.Hour

func (p *keyPair) due(now time.Time) bool { return now.Sub(p.Created) >= keyLife }

// Key returns the cluster's public key, an uncompressed point of P-256, which browsers bind
// their subscriptions to. The first that asks makes it, and another after a year; without a leader, or
// while a member would not understand that there are two, it stays the old one.
func (r *Room) Key(ctx context.Context) ([]byte, error) {
	var now *keyPair
	err := r.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		now, err = keyPairs.Get(tx, fsm.Global, pairKey)
		return err
	})
	if err != nil && !errors.Is(err, fsm.ErrNotFound) {
		return nil, err
	}
	if err == nil && !now.due(r.cfg.DB.Now()) {
		return now.Public, nil
	}
	old := now
	if old != nil && !r.modern(ctx) {
		return old.Public, nil
	}
	fresh, err := newKeyPair(r.cfg.Ring)
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	err = r.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		former, err := keyPairs.Get(tx, fsm.Global, pairKey)
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		if err == nil && !former.due(tx.Now()) { // another was first
			now = former
			return nil
		}
		if err == nil {
			former.Retired = tx.Now()
			if err := keyPairs.Put(tx, former); err != nil {
				return err
			}
		}
		fresh.Created, now = tx.Now(), fresh
		return keyPairs.Put(tx, fresh)
	})
	// Perhaps the other is there: who subscribes with the old one meanwhile is asked once more.
	if old != nil && (errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, fsm.ErrUnknown)) {
		return old.Public, nil
	}
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	return now.Public, nil
}

// modernWithin is how long a page waits for the members to agree on a second key.
const modernWithin = time.Second

// modern reports whether every member knows that there are two keys. If not, nothing is lost but time.
func (r *Room) modern(ctx context.Context) bool {
	if r.cfg.Modern == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, modernWithin)
	defer cancel()
	return r.cfg.Modern(ctx) == nil
}

// pairOf returns the key that s is bound to; nil: it is forgotten. A subscription that does not
// say was made with the key of its time.
func pairOf(tx *fsm.Tx, s *Subscription) (*keyPair, error) {
	for _, key := range []fsm.Key{pairKey, formerKey} {
		p, err := keyPairs.Get(tx, fsm.Global, key)
		if errors.Is(err, fsm.ErrNotFound) {
			continue
		}
		if err != nil || bytes.Equal(p.Public, s.Key) || s.Key == nil && !s.Created.Before(p.Created) {
			return p, err
		}
	}
	return nil, nil
}

func newKeyPair(ring *seal.Ring) (*keyPair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &keyPair{}
	if p.Public, err = private.PublicKey.Bytes(); err != nil {
		return nil, err
	}
	scalar, err := private.Bytes()
	if err != nil {
		return nil, err
	}
	p.Sealed, err = ring.Seal(keyPurpose, scalar, p.Public)
	return p, err
}

// private opens the pair.
func (p *keyPair) private(ring *seal.Ring) (*ecdsa.PrivateKey, error) {
	scalar, err := ring.Open(keyPurpose, p.Sealed, p.Public)
	if err != nil {
		return nil, fmt.Errorf("open push key: %w", err)
	}
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), scalar)
}

// authorization is the value of the header that says to the push service of endpoint who
// sends (RFC 8292, section 3). contact is where its operators can turn to.
func authorization(private *ecdsa.PrivateKey, public []byte, endpoint, contact string, now time.Time) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", errors.New("push endpoint is no URL") // without it: it is a secret
	}
	claims, err := json.Marshal(struct {
		Aud string `json:"aud"`
		Exp int64  `json:"exp"`
		Sub string `json:"sub"`
	}{u.Scheme + "://" + u.Host, now.Add(tokenLifetime).Unix(), contact})
	if err != nil {
		return "", err
	}
	b64 := base64.RawURLEncoding
	signed := b64.EncodeToString([]byte(`{"typ":"JWT","alg":"ES256"}`)) + "." + b64.EncodeToString(claims)
	signature, err := keys.ES256.Signature(private, []byte(signed))
	if err != nil {
		return "", fmt.Errorf("sign push token: %w", err)
	}
	return "vapid t=" + signed + "." + b64.EncodeToString(signature) + ", k=" + b64.EncodeToString(public), nil
}

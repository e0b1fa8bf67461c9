package push

import (
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

// A keyPair is what push services know this cluster by. Subscriptions are bound to it, so
// it is made once and stays.
type keyPair struct {
	Public  []byte    `cbor:"1,keyasint,omitempty"` // uncompressed point of P-256
	Sealed  []byte    `cbor:"2,keyasint,omitempty"` // the private key
	Created time.Time `cbor:"3,keyasint,omitempty"`
}

var keyPairs = fsm.NewTable(95, "push_keys", fsm.Spec[keyPair]{Key: func(*keyPair) fsm.Key { return pairKey }})

var pairKey = fsm.K("vapid")

// Key returns the cluster's public key, an uncompressed point of P-256, which browsers bind
// their subscriptions to. The first that asks makes it: one entry in the life of a cluster.
func (r *Room) Key(ctx context.Context) (public []byte, err error) {
	look := func(tx *fsm.Tx) error {
		p, err := keyPairs.Get(tx, fsm.Global, pairKey)
		if err == nil {
			public = p.Public
		}
		return err
	}
	if err = r.cfg.DB.View(ctx, look); !errors.Is(err, fsm.ErrNotFound) {
		return public, err
	}
	err = r.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		if err := look(tx); !errors.Is(err, fsm.ErrNotFound) { // another was first
			return err
		}
		p, err := newKeyPair(r.cfg.Ring, tx.Now())
		if err != nil {
			return err
		}
		public = p.Public
		return keyPairs.Insert(tx, p)
	})
	if err != nil {
		return nil, fmt.Errorf("push key: %w", err)
	}
	return public, nil
}

func newKeyPair(ring *seal.Ring, now time.Time) (*keyPair, error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	p := &keyPair{Created: now}
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

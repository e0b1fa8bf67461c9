package register

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	initialPrefix = "quis_iat_" // of initial access tokens
	accessPrefix  = "quis_rat_" // of registration access tokens

	initialPurpose = "initial access token"
	accessPurpose  = "registration access token"

	maxUses     = 10_000
	maxLifetime = 365 * 24 * time.Hour
)

// An InitialToken lets its bearer register an application (RFC 7591, section 3), a
// number of times and until a day. Only a MAC of it is kept.
type InitialToken struct {
	ID      string    `cbor:"1,keyasint,omitempty"`
	Tenant  string    `cbor:"2,keyasint,omitempty"`
	Name    string    `cbor:"3,keyasint,omitempty"`
	Key     uint32    `cbor:"4,keyasint,omitempty"` // of the sealing ring
	MAC     []byte    `cbor:"5,keyasint,omitempty"`
	Uses    int64     `cbor:"6,keyasint,omitempty"` // altogether
	Used    int64     `cbor:"7,keyasint,omitempty"`
	Created time.Time `cbor:"8,keyasint,omitempty"`
	Expires time.Time `cbor:"9,keyasint,omitempty"`
}

var tokens = fsm.NewTable(125, "registration_tokens", fsm.Spec[InitialToken]{
	Scope:   func(t *InitialToken) fsm.Scope { return fsm.Scope(t.Tenant) },
	Key:     func(t *InitialToken) fsm.Key { return fsm.K(t.ID) },
	Expires: func(t *InitialToken) time.Time { return t.Expires },
	// A restore must not bring used ones back.
	Transient: true,
})

// CreateToken makes an initial access token for a number of uses, and returns its
// value, which cannot be shown again.
func CreateToken(tx *fsm.Tx, ring *seal.Ring, tenant, name string, uses int64, life time.Duration) (*InitialToken, string, error) {
	switch {
	case strings.TrimSpace(name) == "" || len(name) > 200:
		return nil, "", identity.Invalid("name", "must have 1 to 200 bytes")
	case uses < 1 || uses > maxUses:
		return nil, "", identity.Invalid("uses", fmt.Sprintf("must be 1 to %d", maxUses))
	case life <= 0 || life > maxLifetime:
		return nil, "", identity.Invalid("expires_in", fmt.Sprintf("must be 1 to %d seconds", int(maxLifetime.Seconds())))
	}
	t := &InitialToken{ID: identity.NewID("iat"), Tenant: tenant, Name: name, Uses: uses, Created: tx.Now(), Expires: tx.Now().Add(life), Key: ring.CurrentKey()}
	secret := random()
	mac, err := ring.MAC(initialPurpose, t.Key, message(tenant, t.ID, secret))
	if err != nil {
		return nil, "", fmt.Errorf("initial access token: %w", err)
	}
	t.MAC = mac[:]
	if err := tokens.Insert(tx, t); err != nil {
		return nil, "", err
	}
	return t, initialPrefix + strings.TrimPrefix(t.ID, "iat_") + "." + secret, tellToken(tx, t, event.RegistrationTokenCreated)
}

// ListTokens returns a tenant's initial access tokens that have not expired, oldest first.
func ListTokens(tx *fsm.Tx, tenant string) ([]InitialToken, error) {
	var all []InitialToken
	for t, err := range tokens.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return nil, err
		}
		if t.Expires.After(tx.Now()) && len(all) < 1000 {
			all = append(all, *t)
		}
	}
	return all, nil
}

// DeleteToken ends an initial access token; fsm.ErrNotFound if there is none.
func DeleteToken(tx *fsm.Tx, tenant, id string) error {
	t, err := tokens.Get(tx, fsm.Scope(tenant), fsm.K(id))
	if err != nil {
		return fmt.Errorf("initial access token: %w", err)
	}
	if err := tokens.Delete(tx, fsm.Scope(tenant), fsm.K(id)); err != nil {
		return err
	}
	return tellToken(tx, t, event.RegistrationTokenDeleted)
}

// spend takes one use of the initial access token, in the transaction that needs it; of
// two that race for the last one, one is refused. It returns the token's ID.
func spend(tx *fsm.Tx, ring *seal.Ring, tenant, value string) (string, error) {
	t, err := good(tx, ring, tenant, value)
	if err != nil {
		return "", err
	}
	t.Used++
	return t.ID, tokens.Put(tx, t)
}

// good returns the initial access token if it can be used now. fsm.ErrNotFound is for the
// store, which asks the leader once before it believes that there is none.
func good(tx *fsm.Tx, ring *seal.Ring, tenant, value string) (*InitialToken, error) {
	id, secret, ok := strings.Cut(strings.TrimPrefix(value, initialPrefix), ".")
	if !ok || !strings.HasPrefix(value, initialPrefix) || len(value) > 200 {
		return nil, errBadToken
	}
	t, err := tokens.Get(tx, fsm.Scope(tenant), fsm.K("iat_"+id))
	if err != nil {
		return nil, err
	}
	mac, err := ring.MAC(initialPurpose, t.Key, message(tenant, t.ID, secret))
	if err != nil {
		return nil, fmt.Errorf("initial access token: %w", err)
	}
	if subtle.ConstantTimeCompare(mac[:], t.MAC) != 1 || !t.Expires.After(tx.Now()) || t.Used >= t.Uses {
		return nil, errBadToken
	}
	return t, nil
}

func tellToken(tx *fsm.Tx, t *InitialToken, what event.Type) error {
	return event.Append(tx, event.Event{
		Tenant: t.Tenant, Type: what, Target: event.Target{Kind: "registration_token", ID: t.ID, Name: t.Name}, Data: map[string]string{"uses": fmt.Sprint(t.Uses)},
	})
}

// UsesSealingKey reports whether a token of any tenant is known by the sealing key.
func UsesSealingKey(tx *fsm.Tx, key uint32) (bool, error) {
	for t, err := range tokens.ListAll(tx) {
		if err != nil || t.Key == key {
			return err == nil, err
		}
	}
	return false, nil
}

func random() string {
	b := make([]byte, 32)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func message(parts ...string) []byte { return []byte(strings.Join(parts, "\x00")) }

package federation

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	secretPurpose = "client secret"
	copyPurpose   = "client secret copy"
	minSecret     = 32
	maxSecret     = 256
	liveSecrets   = 2
)

// A Secret is one live client secret of an application: a MAC, and not the secret,
// unless the application signs with it (AuthSecretJWT): then it must be readable.
type Secret struct {
	Key     uint32    `cbor:"1,keyasint,omitempty"` // of the sealing ring
	MAC     []byte    `cbor:"2,keyasint,omitempty"`
	Created time.Time `cbor:"3,keyasint,omitempty"`
	Box     []byte    `cbor:"4,keyasint,omitempty"` // the secret, sealed; only with AuthSecretJWT
	Expires time.Time `cbor:"5,keyasint,omitempty"` // zero: never
}

// ID tells the secret from the other one that is live, and says nothing about it.
func (s *Secret) ID() string {
	sum := sha256.Sum256(s.MAC)
	return "sec_" + hex.EncodeToString(sum[:8])
}

// live reports whether the secret is good by this node's clock, which may be off by as
// much as the cluster lets it.
func (s *Secret) live(now time.Time) bool { return s.Expires.IsZero() || now.Before(s.Expires) }

// LogValue keeps the MAC out of logs.
func (s Secret) LogValue() slog.Value {
	return slog.GroupValue(slog.Uint64("key", uint64(s.Key)), slog.Time("created", s.Created))
}

// newSecret makes the stored form of a secret, which is generated if empty:
// 32 random bytes. A given one must look random, since a MAC does not slow down guessing.
func newSecret(ring *seal.Ring, a *Application, secret string, now time.Time) (Secret, string, error) {
	if secret == "" {
		b := make([]byte, 32)
		rand.Read(b)
		secret = base64.RawURLEncoding.EncodeToString(b)
	}
	if err := checkSecretText(secret); err != nil {
		return Secret{}, "", err
	}
	key := ring.CurrentKey()
	mac, err := ring.MAC(secretPurpose, key, secretMessage(a, secret))
	if err != nil {
		return Secret{}, "", fmt.Errorf("client secret: %w", err)
	}
	s := Secret{Key: key, MAC: mac[:], Created: now}
	if a.Auth.Method == AuthSecretJWT {
		if s.Box, err = ring.Seal(copyPurpose, []byte(secret), []byte(a.Tenant+"\x00"+a.ID)); err != nil {
			return Secret{}, "", fmt.Errorf("client secret: %w", err)
		}
	}
	return s, secret, nil
}

// ReadableSecrets returns the live secrets of an application that signs with them
// (AuthSecretJWT). One that was set while it authenticated otherwise is not among
// them: of that there is no copy.
func ReadableSecrets(ring *seal.Ring, a *Application) ([][]byte, error) {
	var secrets [][]byte
	for _, s := range a.Secrets {
		if len(s.Box) == 0 || a.Auth.Method != AuthSecretJWT || !s.live(time.Now()) {
			continue
		}
		clear, err := ring.Open(copyPurpose, s.Box, []byte(a.Tenant+"\x00"+a.ID))
		if err != nil {
			return nil, fmt.Errorf("client secret: %w", err)
		}
		secrets = append(secrets, clear)
	}
	return secrets, nil
}

// withoutCopies drops the readable copies of secrets that nobody signs with any more.
func withoutCopies(secrets []Secret) []Secret {
	out := slices.Clone(secrets)
	for i := range out {
		out[i].Box = nil
	}
	return out
}

func checkSecretText(secret string) error {
	if len(secret) < minSecret || len(secret) > maxSecret {
		return identity.Invalid("client_secret", fmt.Sprintf("must have %d to %d random characters", minSecret, maxSecret))
	}
	distinct := map[byte]bool{}
	for i := range len(secret) {
		if secret[i] < 0x21 || secret[i] > 0x7e {
			return identity.Invalid("client_secret", "may hold printable ASCII characters only, and no space")
		}
		distinct[secret[i]] = true
	}
	if len(distinct) < 8 {
		return identity.Invalid("client_secret", "does not look random")
	}
	return nil
}

func secretMessage(a *Application, secret string) []byte {
	return []byte(a.Tenant + "\x00" + a.ID + "\x00" + secret)
}

// CheckSecret reports whether secret is one of the live secrets of a. It does the
// same work whether a is nil (no such application), public, or has one secret or two.
func CheckSecret(ring *seal.Ring, a *Application, secret string) (bool, error) {
	if len(secret) > maxSecret {
		secret = ""
	}
	nobody := Application{}
	who := a
	if who == nil {
		who = &nobody
	}
	ok, message := 0, secretMessage(who, secret)
	for i := range liveSecrets {
		s, real := Secret{Key: ring.CurrentKey()}, 0
		if i < len(who.Secrets) {
			if s = who.Secrets[i]; s.live(time.Now()) {
				real = 1
			}
		}
		mac, err := ring.MAC(secretPurpose, s.Key, message)
		if err != nil {
			return false, fmt.Errorf("client secret: %w", err)
		}
		ok |= real & subtle.ConstantTimeCompare(mac[:], s.MAC)
	}
	return ok == 1 && a != nil && secret != "", nil
}

// SetSecret gives a confidential application a new secret, generated if empty,
// and returns it. With keepOld the newest of the former ones stays valid beside
// it until the next SetSecret; otherwise all former ones end now.
func SetSecret(tx *fsm.Tx, ring *seal.Ring, tenant, id, secret string, keepOld bool) (string, error) {
	return RotateSecret(tx, ring, tenant, id, secret, keepOld, 0)
}

// RotateSecret is SetSecret with an end: with keepOld, the former secret is good for
// that long, 0: until the next time.
func RotateSecret(tx *fsm.Tx, ring *seal.Ring, tenant, id, secret string, keepOld bool, good time.Duration) (string, error) {
	a, _, err := Get(tx, tenant, id)
	if err != nil {
		return "", err
	}
	if a.IsPublic {
		return "", identity.Invalid("client_secret", "a public application cannot keep a secret")
	}
	s, clear, err := newSecret(ring, a, secret, tx.Now())
	if err != nil {
		return "", err
	}
	next := []Secret{s}
	if keepOld {
		old := slices.Clone(a.Secrets[:min(len(a.Secrets), liveSecrets-1)])
		for i := range old {
			if end := tx.Now().Add(good); good > 0 && old[i].live(end) {
				old[i].Expires = end
			}
		}
		next = append(next, old...)
	}
	a.Secrets, a.Updated = next, tx.Now()
	if err := applications.Put(tx, a); err != nil {
		return "", err
	}
	return clear, tell(tx, a, event.ApplicationSecretSet)
}

// EndSecret ends one of two live secrets now, fsm.ErrNotFound if there is none of that
// ID. The last one stays: without it nobody could authenticate.
func EndSecret(tx *fsm.Tx, tenant, id, secret string) error {
	a, _, err := Get(tx, tenant, id)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(a.Secrets, func(s Secret) bool { return s.ID() == secret })
	if i < 0 {
		return fmt.Errorf("client secret: %w", fsm.ErrNotFound)
	}
	if len(a.Secrets) == 1 && !a.Auth.usesKeys() {
		return identity.Invalid("secret", "is the only one; make a new one with regenerate-secret, which ends it")
	}
	a.Secrets, a.Updated = slices.Delete(slices.Clone(a.Secrets), i, i+1), tx.Now()
	if err := applications.Put(tx, a); err != nil {
		return err
	}
	return tell(tx, a, event.ApplicationSecretSet, event.Change{Field: "client_secret", Before: secret})
}

// UsesSealingKey reports whether a client secret of any tenant is stored under the sealing key.
func UsesSealingKey(tx *fsm.Tx, key uint32) (bool, error) {
	for a, err := range applications.ListAll(tx) {
		if err != nil {
			return false, err
		}
		if a.Registration.Key == key && len(a.Registration.MAC) > 0 {
			return true, nil
		}
		for _, s := range a.Secrets {
			if s.Key == key || len(s.Box) > 0 && seal.SealedBy(s.Box) == key {
				return true, nil
			}
		}
	}
	return false, nil
}

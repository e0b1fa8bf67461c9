package keys

import (
	"context"
	"crypto"
	"crypto/x509"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A Policy says how long things last.
type Policy struct {
	Lifetime      time.Duration // of an active key before its successor is published; default 90 days
	JWKSMaxAge    time.Duration // for which others may cache the JWKS; default 10 minutes
	TokenLifetime time.Duration // longest life of any token signed here; default 24 hours
	RSABits       int           // default 2048
}

// leeway is added to TokenLifetime: clocks of those who verify, and the moment for
// which a node may still sign with what it has cached.
const leeway = time.Minute

// A Hook is told of every change of a key's phase, inside the transaction that makes
// it. kind is one of the Key… constants. Its error undoes the change.
type Hook func(tx *fsm.Tx, kind, tenant, kid string) error

// What a Hook is told.
const (
	KeyPublished = "key.published"
	KeyActivated = "key.activated"
	KeyRetired   = "key.retired"
	KeyGone      = "key.gone"
	KeyRevoked   = "key.revoked" // gone at once, by RotateEmergency
)

// Keys are the signing keys of all tenants as one node sees them. It is safe for
// concurrent use, and a prometheus.Collector.
type Keys struct {
	db     *fsm.DB
	ring   *seal.Ring
	log    *slog.Logger
	policy Policy
	hook   Hook
	behind *seal.Throttle

	tenants sync.Map // tenant -> *tenantCache
	seen    known
}

// An Option of New.
type Option func(*Keys)

// WithPolicy replaces the default policy; its zero fields keep their defaults.
func WithPolicy(p Policy) Option { return func(k *Keys) { k.policy = p } }

// WithHook makes h see every change.
func WithHook(h Hook) Option { return func(k *Keys) { k.hook = h } }

// New returns the signing keys that db holds, opened with ring.
func New(db *fsm.DB, ring *seal.Ring, log *slog.Logger, opts ...Option) *Keys {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	k := &Keys{
		db: db, ring: ring, log: log,
		hook:   func(*fsm.Tx, string, string, string) error { return nil },
		behind: seal.NewThrottle(100*time.Millisecond, seal.CatchUp(db)),
	}
	for _, o := range opts {
		o(k)
	}
	p := &k.policy
	for _, d := range []struct {
		at  *time.Duration
		def time.Duration
	}{{&p.Lifetime, 90 * 24 * time.Hour}, {&p.JWKSMaxAge, 10 * time.Minute}, {&p.TokenLifetime, 24 * time.Hour}} {
		if *d.at == 0 {
			*d.at = d.def
		}
	}
	if p.RSABits == 0 {
		p.RSABits = 2048
	}
	return k
}

// Policy returns the policy in force: serve the JWKS with its JWKSMaxAge, and let no
// token live longer than its TokenLifetime.
func (k *Keys) Policy() Policy { return k.policy }

// Ensure makes a key for each of algs (default ES256) that the tenant has no active
// key of. The first key of an algorithm is active at once: there is nothing that could
// sign in the meantime.
func (k *Keys) Ensure(ctx context.Context, tenant string, algs ...Alg) error {
	if len(algs) == 0 {
		algs = []Alg{ES256}
	}
	for _, a := range algs {
		if err := k.ensure(ctx, tenant, a); err != nil {
			return fmt.Errorf("first %s key of %s: %w", a, tenant, err)
		}
	}
	return nil
}

func (k *Keys) ensure(ctx context.Context, tenant string, a Alg) error {
	var have *signingKey
	err := k.db.View(ctx, func(tx *fsm.Tx) (err error) {
		have, err = inPhase(tx, tenant, a, Active)
		return err
	})
	if err != nil || have != nil {
		return err
	}
	fresh, err := k.generate(tenant, a)
	if err != nil {
		return err
	}
	return k.db.Update(ctx, func(tx *fsm.Tx) error {
		if have, err := inPhase(tx, tenant, a, Active); err != nil || have != nil {
			return err
		}
		return k.insert(tx, *fresh, Active, KeyActivated)
	})
}

// generate makes a key and seals its private part, outside of any transaction.
func (k *Keys) generate(tenant string, a Alg) (*signingKey, error) {
	private, err := a.generate(k.policy.RSABits)
	if err != nil {
		return nil, fmt.Errorf("generate: %w", err)
	}
	return k.seal(tenant, a, private)
}

// seal returns a key as a row without a phase yet.
func (k *Keys) seal(tenant string, a Alg, private crypto.Signer) (*signingKey, error) {
	j, err := publicJWK(a, private.Public())
	if err != nil {
		return nil, err
	}
	row := &signingKey{Tenant: tenant, KID: j.KID, Alg: a}
	if row.Public, err = x509.MarshalPKIXPublicKey(private.Public()); err != nil {
		return nil, fmt.Errorf("encode public key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, fmt.Errorf("encode private key: %w", err)
	}
	defer clear(der)
	if row.Sealed, err = k.ring.Seal(sealPurpose, der, row.sealContext()); err != nil {
		return nil, err
	}
	row.SealedBy = seal.SealedBy(row.Sealed)
	return row, nil
}

const sealPurpose = "signing key"

func (row *signingKey) sealContext() []byte {
	return []byte(row.Tenant + "\x00" + string(row.Alg) + "\x00" + row.KID)
}

// open unseals the private key of a row.
func (k *Keys) open(row *signingKey) (crypto.Signer, error) {
	der, err := k.ring.Open(sealPurpose, row.Sealed, row.sealContext())
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.KID, err)
	}
	defer clear(der)
	private, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.KID, fsm.ErrCorrupt)
	}
	signer, ok := private.(crypto.Signer)
	if !ok || !row.Alg.fits(signer.Public()) {
		return nil, fmt.Errorf("signing key %s is a %T: %w", row.KID, private, fsm.ErrCorrupt)
	}
	return signer, nil
}

func (k *Keys) insert(tx *fsm.Tx, row signingKey, s State, kind string) error {
	row.State, row.Created, row.Since = s, tx.Now(), tx.Now()
	if err := signingKeys.Insert(tx, &row); err != nil {
		return err
	}
	return k.hook(tx, kind, row.Tenant, row.KID)
}

// move puts a row into its next phase.
func (k *Keys) move(tx *fsm.Tx, row *signingKey, s State, kind string) error {
	row.State, row.Since, row.Settled = s, tx.Now(), time.Time{}
	if s == Gone {
		row.Sealed, row.SealedBy = nil, 0
	}
	if err := signingKeys.Put(tx, row); err != nil {
		return err
	}
	return k.hook(tx, kind, row.Tenant, row.KID)
}

// KeyInfo is what may be told about a key.
type KeyInfo struct {
	KID     string
	Alg     Alg
	State   State
	Created time.Time
	Since   time.Time // in this State
	Next    time.Time // when the duty may move it on; zero: not yet known, or never
}

// List returns the tenant's keys, those in use first, and for 30 days those that are gone.
func (k *Keys) List(ctx context.Context, tenant string) ([]KeyInfo, error) {
	var infos []KeyInfo
	err := k.db.View(ctx, func(tx *fsm.Tx) error {
		infos = nil
		rows, err := rowsOf(tx, tenant)
		if err != nil {
			return err
		}
		for _, row := range rows {
			infos = append(infos, KeyInfo{row.KID, row.Alg, row.State, row.Created, row.Since, k.due(row)})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list signing keys: %w", err)
	}
	return infos, nil
}

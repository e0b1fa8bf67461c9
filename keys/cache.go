package keys

import (
	"cmp"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// maxStale is how long after a change is applied here this node may go on with what it
// had before. Without it, every commit of anybody would make the next call read the store.
const maxStale = 50 * time.Millisecond

// A tenantCache holds the latest snapshot of one tenant's keys.
type tenantCache struct {
	mu  sync.Mutex // one load at a time
	set atomic.Pointer[keySet]
}

// A keySet is a tenant's keys at one moment; immutable.
type keySet struct {
	changed <-chan struct{} // closes when the store has moved on
	loaded  time.Time
	active  map[Alg]*key
	live    []*key // all but gone, active first
	known   map[string]*key
	gone    map[string]bool
	jwks    []byte
	retry   bool // a private key could not be unsealed; look again soon
}

// A key is ready for use: parsed, unsealed while active, headers encoded.
type key struct {
	kid     string
	alg     Alg
	public  crypto.PublicKey
	private crypto.Signer // only of an active key
	err     error         // why an active key has no private part: it verifies, and cannot sign
	jwk     jwk
	headers sync.Map // typ -> string: the encoded header; few, typ is a constant of our callers
}

// header returns the first part of every token with this typ.
func (key *key) header(typ string) string {
	if h, ok := key.headers.Load(typ); ok {
		return h.(string)
	}
	b, err := json.Marshal(header{Alg: key.alg, KID: key.kid, Typ: typ})
	if err != nil { // strings always marshal
		panic(err)
	}
	h := b64(b)
	key.headers.Store(typ, h)
	return h
}

func (s *keySet) current() bool {
	select {
	case <-s.changed:
		return false
	default:
		return !s.retry
	}
}

// keysOf returns the tenant's keys, at most maxStale behind what is applied here.
func (k *Keys) keysOf(ctx context.Context, tenant string) (*keySet, error) {
	c := k.cache(tenant)
	s := c.set.Load()
	if s != nil && (s.current() || time.Since(s.loaded) < maxStale) {
		return s, nil
	}
	if s != nil && !c.mu.TryLock() {
		return s, nil // another caller is about to replace it
	}
	if s == nil {
		c.mu.Lock()
	}
	defer c.mu.Unlock()
	if now := c.set.Load(); now != s {
		return now, nil
	}
	return k.load(ctx, tenant, c)
}

// exactKeysOf returns the tenant's keys exactly as they are applied here.
func (k *Keys) exactKeysOf(ctx context.Context, tenant string) (*keySet, error) {
	c := k.cache(tenant)
	if s := c.set.Load(); s != nil && s.current() {
		return s, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if s := c.set.Load(); s != nil && s.current() {
		return s, nil
	}
	return k.load(ctx, tenant, c)
}

func (k *Keys) cache(tenant string) *tenantCache {
	if c, ok := k.tenants.Load(tenant); ok {
		return c.(*tenantCache)
	}
	c, _ := k.tenants.LoadOrStore(tenant, &tenantCache{})
	return c.(*tenantCache)
}

// load reads the tenant's keys into its cache, keeping what is parsed and unsealed.
// c.mu is held, so an older snapshot never replaces a newer one.
func (k *Keys) load(ctx context.Context, tenant string, c *tenantCache) (*keySet, error) {
	s := &keySet{
		changed: k.db.Changed(), loaded: time.Now(),
		active: map[Alg]*key{}, known: map[string]*key{}, gone: map[string]bool{},
	}
	var rows []*signingKey
	err := k.db.View(ctx, func(tx *fsm.Tx) (err error) {
		rows, err = rowsOf(tx, tenant)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	if len(rows) == 0 { // whoever invents tenants gets no memory for it
		k.tenants.CompareAndDelete(tenant, c)
	}
	old := c.set.Load()
	for _, row := range rows {
		if !row.State.live() {
			s.gone[row.KID] = true
			continue
		}
		key, err := k.ready(row, old)
		if err != nil {
			return nil, err
		}
		s.retry = s.retry || key.err != nil
		s.known[row.KID], s.live = key, append(s.live, key)
		if row.State == Active {
			s.active[row.Alg] = key
		}
	}
	if s.jwks, err = s.encode(); err != nil {
		return nil, err
	}
	c.set.Store(s)
	return s, nil
}

// ready returns the key of a row, from the old snapshot if it can be used unchanged.
func (k *Keys) ready(row *signingKey, old *keySet) (*key, error) {
	var before *key
	if old != nil {
		before = old.known[row.KID]
	}
	if before != nil && (before.private != nil) == (row.State == Active) {
		return before, nil
	}
	public, err := x509.ParsePKIXPublicKey(row.Public)
	if err != nil {
		return nil, fmt.Errorf("signing key %s: %w", row.KID, fsm.ErrCorrupt)
	}
	key := &key{kid: row.KID, alg: row.Alg, public: public}
	if key.jwk, err = publicJWK(row.Alg, public); err != nil {
		return nil, err
	}
	if key.jwk.KID != row.KID {
		return nil, fmt.Errorf("signing key %s has thumbprint %s: %w", row.KID, key.jwk.KID, fsm.ErrCorrupt)
	}
	if row.State == Active {
		key.private, key.err = k.open(row)
	}
	return key, nil
}

// encode returns the JWK set, active keys first: some take the first that fits.
func (s *keySet) encode() ([]byte, error) {
	set := struct {
		Keys []jwk `json:"keys"`
	}{Keys: make([]jwk, 0, len(s.live))}
	for _, key := range s.live {
		set.Keys = append(set.Keys, key.jwk)
	}
	return json.Marshal(set)
}

// JWKS returns the tenant's JWK set (RFC 7517 §5) as this node has it applied: every key
// that signs or will sign soon, or whose tokens are still alive. A tenant without keys is fsm.ErrNotFound.
func (k *Keys) JWKS(ctx context.Context, tenant string) ([]byte, error) {
	s, err := k.exactKeysOf(ctx, tenant)
	if err == nil && len(s.live) == 0 {
		s, err = k.catchUp(ctx, tenant)
	}
	if err != nil {
		return nil, fmt.Errorf("key set of %s: %w", tenant, err)
	}
	if len(s.live) == 0 {
		return nil, fmt.Errorf("key set of %s: %w", tenant, fsm.ErrNotFound)
	}
	return s.jwks, nil
}

// catchUp returns the tenant's keys after asking the leader, which is limited for all callers together.
func (k *Keys) catchUp(ctx context.Context, tenant string) (*keySet, error) {
	if err := k.behind.Do(ctx); err != nil {
		return nil, err
	}
	return k.exactKeysOf(ctx, tenant)
}

// rowsOf lists the tenant's keys: active, published, retiring, gone; then by algorithm and age.
func rowsOf(tx *fsm.Tx, tenant string) ([]*signingKey, error) {
	var rows []*signingKey
	for row, err := range signingKeys.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	rank := []State{Active, Published, Retiring, Gone}
	slices.SortStableFunc(rows, func(a, b *signingKey) int {
		return cmp.Or(
			cmp.Compare(slices.Index(rank, a.State), slices.Index(rank, b.State)),
			cmp.Compare(slices.Index(Algs, a.Alg), slices.Index(Algs, b.Alg)),
			b.Created.Compare(a.Created),
		)
	})
	return rows, nil
}

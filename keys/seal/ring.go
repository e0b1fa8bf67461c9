package seal

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/fsm"
)

const (
	wrapVersion = 1 // of what a RootKey wraps
	boxVersion  = 1 // of what a Ring seals
	headSize    = 5 // version, key id

	// Every node looks for new keys this often, and a new key is used only after
	// settling, so in the normal case all nodes hold it before the first box needs it.
	lookEvery = 5 * time.Second
	settling  = 30 * time.Second

	// catchUpEvery limits how often unknown key ids make this node ask the leader.
	catchUpEvery = 100 * time.Millisecond
	// plausibleAhead is how far beyond the newest known key an id may be and still be
	// worth asking for: keys are numbered one by one.
	plausibleAhead = 8
)

// A Ring seals and opens with the sealing keys of the store. It is safe for
// concurrent use; sealing and opening touch no lock and no store.
type Ring struct {
	db      *fsm.DB
	wrapper *RootKey
	now     func() time.Time
	catchUp *Throttle

	keys   atomic.Pointer[keySet]
	looked atomic.Int64 // Unix nanoseconds of the latest look at the store
	mu     sync.Mutex   // one load at a time
}

// A keySet is the ring at one moment; immutable.
type keySet struct {
	byID   map[uint32]*ringKey
	order  []*ringKey // ascending
	newest uint32

	epoch      Epoch
	began      time.Time // zero: nothing was ever restored
	generation uint64    // of the store that this was read from
}

// A ringKey is an unwrapped sealing key with its subkeys, made when first needed.
// Purposes are constants of the code, so there are few.
type ringKey struct {
	id        uint32
	notBefore time.Time
	box       []byte // what it was unwrapped from
	secret    [32]byte
	ciphers   sync.Map // purpose -> *xaes
	macs      sync.Map // purpose -> *sync.Pool of hash.Hash, each keyed already
}

// OpenRing opens the ring that db holds. An empty ring is fine: keys are found when
// they come. A ring wrapped under another root key is ErrSealed, with a message for
// the operator.
func OpenRing(ctx context.Context, db *fsm.DB, w *RootKey) (*Ring, error) {
	r := &Ring{db: db, wrapper: w, now: db.Now}
	r.catchUp = NewThrottle(catchUpEvery, CatchUp(db))
	r.keys.Store(&keySet{})
	if err := r.look(ctx); err != nil {
		return nil, fmt.Errorf("open sealing ring: %w", err)
	}
	return r, nil
}

// Seal encrypts plaintext for one purpose and binds aad to it. It reports
// fsm.ErrUnavailable while the ring is empty.
func (r *Ring) Seal(purpose string, plaintext, aad []byte) ([]byte, error) {
	k, err := r.current()
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	head := binary.BigEndian.AppendUint32([]byte{boxVersion}, k.id)
	return appendSealed(k.cipher(purpose), head, plaintext, boxContext(head, purpose, aad)), nil
}

// Open decrypts what Seal made for the same purpose and aad. It reports ErrBox for
// anything else, and an error of the store if the box needs a key that cannot be looked up now.
func (r *Ring) Open(purpose string, box, aad []byte) ([]byte, error) {
	if len(box) < headSize || box[0] != boxVersion {
		return nil, fmt.Errorf("open: unknown format: %w", ErrBox)
	}
	k, err := r.key(binary.BigEndian.Uint32(box[1:]))
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return openSealed(k.cipher(purpose), box, headSize, boxContext(box[:headSize], purpose, aad))
}

// SealedBy returns the id of the sealing key that a box needs, or 0 if it is no box.
func SealedBy(box []byte) uint32 {
	if len(box) < headSize || box[0] != boxVersion {
		return 0
	}
	return binary.BigEndian.Uint32(box[1:])
}

// CurrentKey is the id of the key that Seal uses now, 0 while the ring is empty.
// Keep it beside what MAC returned.
func (r *Ring) CurrentKey() uint32 {
	k, err := r.current()
	if err != nil {
		return 0
	}
	return k.id
}

// MAC returns HMAC-SHA-256 (RFC 2104) over data under a subkey of sealing key id key
// for purpose. An unknown key is ErrBox.
func (r *Ring) MAC(purpose string, key uint32, data []byte) ([32]byte, error) {
	k, err := r.key(key)
	if err != nil {
		return [32]byte{}, fmt.Errorf("mac: %w", err)
	}
	pool := k.mac(purpose)
	h := pool.Get().(hash.Hash)
	defer pool.Put(h)
	h.Reset()
	h.Write(data)
	var sum [32]byte
	h.Sum(sum[:0])
	return sum, nil
}

func (k *ringKey) cipher(purpose string) *xaes {
	if c, ok := k.ciphers.Load(purpose); ok {
		return c.(*xaes)
	}
	c, _ := k.ciphers.LoadOrStore(purpose, newXAES(derive(k.secret[:], "quis seal v1: "+purpose)))
	return c.(*xaes)
}

// mac returns hashes under the subkey: setting one up costs as much as a short MAC itself.
func (k *ringKey) mac(purpose string) *sync.Pool {
	if p, ok := k.macs.Load(purpose); ok {
		return p.(*sync.Pool)
	}
	sub := derive(k.secret[:], "quis mac v1: "+purpose)
	p, _ := k.macs.LoadOrStore(purpose, &sync.Pool{New: func() any { return hmac.New(sha256.New, sub[:]) }})
	return p.(*sync.Pool)
}

// boxContext is the authenticated data: lengths first, so that no two contexts run together.
func boxContext(head []byte, purpose string, aad []byte) []byte {
	b := make([]byte, 0, len(head)+4+len(purpose)+len(aad))
	b = append(b, head...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(purpose)))
	b = append(b, purpose...)
	return append(b, aad...)
}

// current returns the newest key that has settled, or the oldest if none has.
func (r *Ring) current() (*ringKey, error) {
	now := r.now()
	set := r.set()
	since := now.UnixNano() - r.looked.Load() // negative if the clock was corrected
	if len(set.order) == 0 || since > int64(lookEvery) || since < 0 {
		ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
		defer cancel()
		// A failed look leaves the keys at hand good; there is nothing better to seal with.
		if err := r.look(ctx); err != nil && len(set.order) == 0 {
			return nil, err
		}
		set = r.keys.Load()
	}
	if len(set.order) == 0 {
		return nil, fmt.Errorf("no sealing key yet: %w", fsm.ErrUnavailable)
	}
	for i := len(set.order) - 1; i > 0; i-- {
		if !set.order[i].notBefore.After(now) {
			return set.order[i], nil
		}
	}
	return set.order[0], nil
}

// key returns the key with this id. An id that might be newer than what this node
// has applied is looked for here and then at the leader, which the throttle limits.
func (r *Ring) key(id uint32) (*ringKey, error) {
	set := r.set()
	if k, ok := set.byID[id]; ok {
		return k, nil
	}
	if id <= set.newest || id > set.newest+plausibleAhead {
		return nil, fmt.Errorf("sealing key %d is not in the ring: %w", id, ErrBox)
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
	defer cancel()
	none := func(context.Context) error { return nil }
	for _, first := range []func(context.Context) error{none, r.catchUp.Do} {
		if err := errors.Join(first(ctx), r.look(ctx)); err != nil {
			return nil, fmt.Errorf("look for sealing key %d: %w", id, err)
		}
		if k, ok := r.keys.Load().byID[id]; ok {
			return k, nil
		}
	}
	return nil, fmt.Errorf("sealing key %d is not in the ring: %w", id, ErrBox)
}

// look reads the ring from this node's store. The lock is taken before the snapshot,
// so an older snapshot never replaces a newer one.
func (r *Ring) look(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	generation := r.db.Generation() // before the view: at worst it is read once more
	return r.db.View(ctx, func(tx *fsm.Tx) error { return r.load(tx, generation) })
}

// set returns the keys at hand, read again if the store was replaced since: not one
// request may be judged by the keys and the epoch of before a restore.
func (r *Ring) set() *keySet {
	set := r.keys.Load()
	if set.generation == r.db.Generation() {
		return set
	}
	ctx, cancel := context.WithTimeout(context.Background(), lookEvery)
	defer cancel()
	if err := r.look(ctx); err != nil {
		return &keySet{} // that opens and seals nothing
	}
	return r.keys.Load()
}

// load replaces the key set by what tx sees, keeping keys that are unwrapped already.
func (r *Ring) load(tx *fsm.Tx, generation uint64) (err error) {
	old, set := r.keys.Load(), &keySet{byID: map[uint32]*ringKey{}, generation: generation}
	if set.epoch, _, err = EpochOf(tx); err != nil {
		return err
	}
	if set.epoch != "" {
		latest, err := LatestRestoration(tx)
		if err != nil {
			return err
		}
		set.began = latest.At
	}
	for row, err := range sealingKeys.List(tx, fsm.Global) {
		if err != nil {
			return err
		}
		box, err := row.boxOf(r.wrapper)
		if err != nil {
			return err
		}
		k, ok := old.byID[row.ID]
		if !ok || !bytes.Equal(k.box, box) {
			secret, err := row.unwrap(r.wrapper, box)
			if err != nil {
				return err
			}
			k = &ringKey{id: row.ID, notBefore: row.NotBefore, box: box, secret: secret}
		}
		set.byID[row.ID], set.order, set.newest = k, append(set.order, k), row.ID
	}
	r.keys.Store(set)
	r.looked.Store(r.now().UnixNano())
	return nil
}

package recovery

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

const (
	// Count is how many codes a set has.
	Count = 10
	// Few is how many codes left are few: time to tell the user to make new ones.
	Few = 3

	purpose = "recovery code"
)

// A Set is the recovery codes of a user, as far as they are not used.
type Set struct {
	ID       string    `cbor:"1,keyasint,omitempty"`
	Tenant   string    `cbor:"2,keyasint,omitempty"`
	UserID   string    `cbor:"3,keyasint,omitempty"`
	Created  time.Time `cbor:"4,keyasint,omitempty"`
	LastUsed time.Time `cbor:"5,keyasint,omitempty"` // zero: none was used
	Key      uint32    `cbor:"6,keyasint,omitempty"` // of the sealing ring, that MACs are under
	MACs     [][]byte  `cbor:"7,keyasint,omitempty" json:"-"`
}

// Left is how many codes have not been used.
func (s *Set) Left() int { return len(s.MACs) }

var sets = fsm.NewTable(64, "recovery_codes", fsm.Spec[Set]{
	Scope: func(s *Set) fsm.Scope { return fsm.Scope(s.Tenant) },
	Key:   func(s *Set) fsm.Key { return fsm.K(s.UserID) },
})

// Tables are the definitions that a store needs for recovery codes.
var Tables = []fsm.Definition{sets}

func mac(ring *seal.Ring, key uint32, tenant, userID, code string) ([]byte, error) {
	sum, err := ring.MAC(purpose, key, []byte(tenant+"\x00"+userID+"\x00"+code))
	if err != nil {
		return nil, fmt.Errorf("recovery code: %w", err)
	}
	return sum[:], nil
}

// Generate gives a user a new set of Count codes in the place of any former, and returns
// them as they are to be written down: "k7qm-2x9d-p4rt". They cannot be had again.
func Generate(tx *fsm.Tx, ring *seal.Ring, tenant, userID string) ([]string, error) {
	if userID == "" {
		return nil, fmt.Errorf("recovery codes of nobody: %w", identity.ErrInvalid)
	}
	s := &Set{
		ID: identity.NewID(identity.PrefixRecovery), Tenant: tenant, UserID: userID,
		Created: tx.Now(), Key: ring.CurrentKey(),
	}
	var codes []string
	for range Count {
		code := fresh()
		m, err := mac(ring, s.Key, tenant, userID, code)
		if err != nil {
			return nil, err
		}
		codes, s.MACs = append(codes, shown(code)), append(s.MACs, m)
	}
	var more []string
	if former, err := Get(tx, tenant, userID); err != nil {
		return nil, err
	} else if former == nil {
		more = []string{event.FirstKey, "yes"}
	}
	if err := sets.Put(tx, s); err != nil {
		return nil, err
	}
	return codes, tell(tx, event.RecoveryCodesCreated, s, more...)
}

// Get returns a user's set, or nil if there is none.
func Get(tx *fsm.Tx, tenant, userID string) (*Set, error) {
	s, err := sets.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	return s, err
}

// Check returns what Accept takes for a code of the user that has not been used. It only
// reads. It reports identity.ErrUnauthenticated, with a sentence for the person, for any
// other code; any other error says that nothing was learned.
func Check(tx *fsm.Tx, ring *seal.Ring, tenant, userID, code string) (proof []byte, err error) {
	s, err := Get(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	if s == nil {
		s = &Set{Key: ring.CurrentKey()} // the same work
	}
	code = typed(code)
	m, err := mac(ring, s.Key, tenant, userID, code)
	if err != nil {
		return nil, err
	}
	if s.find(m) < 0 || code == "" {
		return nil, wrong()
	}
	return m, nil
}

func wrong() error {
	return identity.Unauthenticated("That is not one of your recovery codes, or it was used already. Each works once.")
}

// find returns where in the set a MAC is, or -1, by looking at all of them.
func (s *Set) find(m []byte) int {
	at := -1
	for i := range s.MACs {
		at = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(s.MACs[i], m), i, at)
	}
	return at
}

// Accept spends the code that Check returned proof of, in the transaction that finishes
// the sign-in, and returns how many are left. It reports identity.ErrUnauthenticated if
// it was spent, or the set replaced, since: that is fsm.ErrNotFound as well, upon which a
// node that is behind looks again.
func Accept(tx *fsm.Tx, tenant, userID string, proof []byte) (left int, err error) {
	s, err := Get(tx, tenant, userID)
	if err != nil {
		return 0, err
	}
	at := -1
	if s != nil {
		at = s.find(proof)
	}
	if at < 0 {
		return 0, fmt.Errorf("%w: %w", wrong(), fsm.ErrNotFound)
	}
	s.MACs, s.LastUsed = slices.Delete(s.MACs, at, at+1), tx.Now()
	if err := sets.Put(tx, s); err != nil {
		return 0, err
	}
	return s.Left(), tell(tx, event.RecoveryCodeUsed, s)
}

// Remove takes a user's codes away, and with them all trust in devices; it reports
// fsm.ErrNotFound if there are none.
func Remove(tx *fsm.Tx, tenant, userID string) error {
	s, err := sets.Get(tx, fsm.Scope(tenant), fsm.K(userID))
	if err != nil {
		return err
	}
	if err := sets.Delete(tx, fsm.Scope(tenant), fsm.K(userID)); err != nil {
		return err
	}
	if err := tell(tx, event.FactorRemoved, s); err != nil {
		return err
	}
	return device.Forfeit(tx, tenant, userID, "recovery codes removed", assurance.Recovery, "")
}

// DeleteAllOf removes the codes of a user who is being deleted, without events.
func DeleteAllOf(tx *fsm.Tx, tenant, userID string) error {
	return sets.Delete(tx, fsm.Scope(tenant), fsm.K(userID))
}

// DeleteTenant removes the codes of a tenant that is being deleted, without events.
func DeleteTenant(tx *fsm.Tx, tenant string) error {
	for s, err := range sets.List(tx, fsm.Scope(tenant)) {
		if err != nil {
			return err
		}
		if err := sets.Delete(tx, fsm.Scope(tenant), fsm.K(s.UserID)); err != nil {
			return err
		}
	}
	return nil
}

// UsesSealingKey reports whether codes of any tenant are known by sealing key id: for
// seal.Ring.Retire.
func UsesSealingKey(tx *fsm.Tx, id uint32) (bool, error) {
	for s, err := range sets.ListAll(tx) {
		if err != nil || s.Key == id && s.Left() > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// tell appends an event about s, with more data in pairs of key and value.
func tell(tx *fsm.Tx, what event.Type, s *Set, more ...string) error {
	data := map[string]string{"user_id": s.UserID, "left": strconv.Itoa(s.Left())}
	for i := 0; i+1 < len(more); i += 2 {
		data[more[i]] = more[i+1]
	}
	return event.Append(tx, event.Event{
		Tenant: s.Tenant, Type: what, Target: event.Target{Kind: "recovery_codes", ID: s.ID},
		Data: data,
	})
}

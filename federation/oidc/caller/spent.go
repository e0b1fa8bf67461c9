package caller

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/quis-idp/quis/federation/jose"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A spentAssertion is the mark that an assertion was used. It is kept as long as the
// assertion could come again.
type spentAssertion struct {
	Tenant  string `cbor:"1,keyasint,omitempty"`
	Sum     string `cbor:"2,keyasint,omitempty"` // SHA-256 of who made it, for what, and its jti
	Expires int64  `cbor:"3,keyasint,omitempty"` // Unix milliseconds
}

var spentAssertions = fsm.NewTable(127, "spent_assertions", fsm.Spec[spentAssertion]{
	Scope:     func(s *spentAssertion) fsm.Scope { return fsm.Scope(s.Tenant) },
	Key:       func(s *spentAssertion) fsm.Key { return fsm.K(s.Sum) },
	Expires:   func(s *spentAssertion) time.Time { return time.UnixMilli(s.Expires) },
	Transient: true,
})

// Tables are the tables of this room.
var Tables = []fsm.Definition{spentAssertions}

// An Assertion is one that holds and may be used once.
type Assertion struct {
	sum   [sha256.Size]byte
	until time.Time
	epoch seal.Epoch
	grant bool // a grant rests on it, rather than who asks
	spent bool
}

// replayed is the *Fault of an assertion that was used before.
func (a *Assertion) replayed() error {
	return &Fault{Grant: a.grant, Reason: "The assertion was used before. Make a new one, with a jti of its own, for every request."}
}

// NewAssertion returns the assertion with these claims, made by maker. life is what it
// may live at most. One that could have been used before a backup was restored, whose
// spent marks are gone, is refused: it has been valid for minutes only, and so has the refusal.
func NewAssertion(ring *seal.Ring, maker string, c *jose.Claims, life time.Duration) (*Assertion, error) {
	a := &Assertion{sum: sha256.Sum256([]byte(maker + "\x00" + c.ID)), until: c.Expires.Add(2 * clockSkew), epoch: ring.Epoch()}
	made := c.Issued
	if made.IsZero() {
		made = c.Expires.Add(-life)
	}
	if began := ring.Began(); !began.IsZero() && !made.After(began.Add(clockSkew)) {
		return nil, unknown("The assertion is older than the state of this server. Make a new one.")
	}
	return a, nil
}

// Spend marks the assertion as used in tenant, or reports a *Fault if it was. It is decided where
// the transaction is: of all that come with one assertion to any node, one commits.
func (a *Assertion) Spend(tx *fsm.Tx, tenant string) error {
	if err := seal.Check(tx, a.epoch); errors.Is(err, seal.ErrBox) {
		return a.replayed()
	} else if err != nil {
		return err
	}
	err := spentAssertions.Insert(tx, &spentAssertion{Tenant: tenant, Sum: string(a.sum[:]), Expires: a.until.UnixMilli()})
	if errors.Is(err, fsm.ErrExists) {
		return a.replayed()
	}
	if err != nil {
		return fmt.Errorf("spend assertion: %w", err)
	}
	tx.OnCommit(func(uint64) { a.spent = true })
	return nil
}

// Spent reports whether a transaction that spent it has committed.
func (a *Assertion) Spent() bool { return a.spent }

package certificate

import (
	"errors"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
)

// A Held is a user's certificate with the authority that it counts under.
type Held struct {
	Certificate
	Of *Authority
}

// Proves is the factor that a certificate of the authority is, as its administrator declares.
func (a *Authority) Proves() assurance.Factor {
	kept := a.Key == KeyHardware || a.Key == KeySmartCard
	return assurance.Factor{
		Method: assurance.Certificate, Verified: !a.Pinless, Bound: kept, Attested: kept, Card: a.Key == KeySmartCard,
	}
}

// Proves is the factor that h is; nobody chose one that is theirs by a rule.
func (h *Held) Proves() assurance.Factor {
	f := h.Of.Proves()
	f.Unasked = h.By == ""
	return f
}

// HeldBy returns the certificates that a user is asked for: those that were added to them, and those that they
// have used, which a rule makes theirs. One that was revoked is among them, as nobody's account gets
// easier to enter by that; one that has run out is not, unless those that come after it are theirs, too.
func HeldBy(tx *fsm.Tx, tenant, userID string) (held []Held, err error) {
	all, err := Of(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	for _, c := range all {
		a, _, err := Get(tx, tenant, c.Authority)
		if errors.Is(err, fsm.ErrNotFound) || err == nil && !tx.Now().Before(c.NotAfter) && c.By != BySubject {
			continue
		}
		if err != nil {
			return nil, err
		}
		held = append(held, Held{c, a})
	}
	return held, nil
}

// GoodOf returns those of a user's certificates that let them in now, as far as the store knows: the authority has a rule of
// the kind that led to them (whether it still does is seen at a sign-in, where their names are), neither has run out, and the
// authority's uploaded list does not name them. What only its servers know is asked at a sign-in alone; where revocation has
// to be known and there is nowhere to ask, nobody gets in.
func GoodOf(tx *fsm.Tx, tenant, userID string) (good []Held, err error) {
	held, err := HeldBy(tx, tenant, userID)
	if err != nil {
		return nil, err
	}
	for _, h := range held {
		is, err := h.good(tx)
		if err != nil {
			return nil, err
		}
		if is {
			good = append(good, h)
		}
	}
	return good, nil
}

func (h *Held) good(tx *fsm.Tx) (bool, error) {
	leads := func(r Rule) bool { return (r.From == FromAdded) == (h.By != "") }
	if !slices.ContainsFunc(h.Of.Rules, leads) || !tx.Now().Before(h.NotAfter) {
		return false, nil
	}
	if ca, err := h.Of.Parsed(); err != nil || !tx.Now().Before(ca.NotAfter) {
		return false, err
	}
	list, revoked, err := Listed(tx, h.Tenant, h.Of.ID, h.Number)
	switch nowhere := h.Of.CRL == "" && !h.Of.Ask; {
	case err != nil:
		return false, err
	case h.Of.Revocation == RevocationRequired && nowhere && (list == nil || !tx.Now().Before(list.NextUpdate)):
		return false, nil
	case list == nil:
		return true, nil
	case len(h.Number) == 0: // written by an older release: if the list names any, it may be this one
		return list.Revoked == 0, nil
	}
	return !h.Issued || !revoked, nil
}

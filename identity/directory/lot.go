package directory

import (
	"crypto/sha256"

	"github.com/quis-idp/quis/fsm"
)

// A Lot is a place in an order of a tenant's users that has nothing to do with who they are or when they came.
type Lot [8]byte

// lots has every user at a place that is theirs for good, which are spread evenly.
var lots = users.Index(5, "lots", func(u *User) []fsm.Key {
	sum := sha256.Sum256([]byte(u.ID))
	return []fsm.Key{fsm.K(string(sum[:len(Lot{})]))}
})

// UserAt returns the ID of the user at a lot of a tenant or of the next one, "" if nobody is there: whoever
// draws lots evenly draws users evenly.
func UserAt(tx *fsm.Tx, tenant string, at Lot) (id string, err error) {
	for _, from := range []string{string(at[:]), ""} { // after the last one comes the first
		for u, err := range lots.List(tx, fsm.Scope(tenant), fsm.From(fsm.K(from))) {
			if err != nil {
				return "", err
			}
			return u.ID, nil
		}
	}
	return "", nil
}

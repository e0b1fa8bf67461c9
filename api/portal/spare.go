package portal

import (
	"net/http"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/spare"
)

// needed are the keys of why something has to stay, as it is said of one thing among several.
var needed = map[spare.Why]string{spare.OnlyWay: "left.only_way", spare.OnlyFactor: "left.only_factor", spare.Halved: "left.halved"}

// Needed says in a person's words why something has to stay, "" if it need not.
func Needed(r *http.Request, why spare.Why) string {
	if why == "" {
		return ""
	}
	return site.Text(r, needed[why])
}

// Without says in a person's words why v cannot spare what take takes away, "" if they can. It
// is asked in the transaction of Update that takes it away.
func (v *Visitor) Without(tx *fsm.Tx, r *http.Request, take func(*spare.Left)) (string, error) {
	why, err := spare.Without(tx, v.Tenant, v.UserID, take)
	return Needed(r, why), err
}

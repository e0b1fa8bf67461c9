package settings

import (
	"slices"

	"github.com/quis-idp/quis/fsm"
)

// RelatedOrigins are the other origins where passkeys may be used, of all tenants but the one
// with the ID without, each once, in order of tenants: browsers read one list for the host that all share.
func RelatedOrigins(tx *fsm.Tx, without string) (origins []string, err error) {
	for a, err := range table.ListAll(tx) {
		if err != nil {
			return nil, err
		}
		if a.Tenant == without {
			continue
		}
		for _, o := range a.Passkey.RelatedOrigins {
			if !slices.Contains(origins, o) {
				origins = append(origins, o)
			}
		}
	}
	return origins, nil
}

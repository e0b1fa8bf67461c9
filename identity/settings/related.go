package settings

import (
	"errors"
	"slices"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// RelatedOrigins are the other origins where passkeys may be used, of all tenants that are not disabled but the one
// with the ID without, each once, in order of tenants: browsers read one list for the host that all share.
func RelatedOrigins(tx *fsm.Tx, without string) (origins []string, err error) {
	for a, err := range table.ListAll(tx) {
		if err != nil {
			return nil, err
		}
		if a.Tenant == without || len(a.Passkey.RelatedOrigins) == 0 {
			continue
		}
		t, _, err := directory.GetTenant(tx, a.Tenant)
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return nil, err
		}
		if err != nil || t.Disabled {
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

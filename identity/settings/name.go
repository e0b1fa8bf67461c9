package settings

import (
	"cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

// NameOf is what people know a tenant by: its brand, or else its name.
func NameOf(tx *fsm.Tx, tenant string) (string, error) {
	a, _, err := Get(tx, tenant)
	if err != nil {
		return "", err
	}
	t, _, err := directory.GetTenant(tx, tenant)
	if err != nil {
		return "", err
	}
	return cmp.Or(a.BrandName, t.Name), nil
}

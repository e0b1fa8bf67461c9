package settings

import (
	"cmp"
	"net/url"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
)

// NameOf is what people know a tenant by: its brand, or else its name; of one that nobody has
// named, the host that the request of tx came to.
func NameOf(tx *fsm.Tx, tenant string) (string, error) {
	a, _, err := Get(tx, tenant)
	if err != nil {
		return "", err
	}
	t, _, err := directory.GetTenant(tx, tenant)
	if err != nil {
		return "", err
	}
	name := t.Name
	if tenant == identity.DefaultTenant && name == directory.DefaultName {
		name = cmp.Or(host(identity.TenantFrom(tx.Context())), "quis")
	}
	return cmp.Or(a.BrandName, name), nil
}

func host(t identity.Tenant) string {
	u, err := url.Parse(t.Issuer)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

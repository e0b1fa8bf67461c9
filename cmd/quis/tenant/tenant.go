// Package tenant is `quis tenant`: the tenants of an installation, each with people, applications, keys and
// an issuer of its own.
//
// Only administrators of the default tenant, and the operator of the machine, may use it.
package tenant

import (
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/kind"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis tenant`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:   "tenant",
		Short: "Worlds of their own, with people, applications and an issuer each",
		Long: "A tenant is at /t/SLUG/ of the public URL, the default one at its root. Other commands act on the tenant of the token that they\n" +
			"are given, and at a node's socket on the default one; the API takes ?tenant=SLUG.",
		Example: "  quis tenant create acme name='Acme Ltd'\n  quis tenant list",
	}
	line.Group(c)
	c.AddCommand(kind.Kind{
		Word: "tenant", What: "the slug or ID of a tenant", First: "slug", Key: "id",
		Columns: []string{"id", "slug", "name", "disabled"},
		Rows:    func(c *client.Client) client.Rows { return c.TenantRows },
		Warning: "Only a tenant without people, applications and the like is deleted.",
		Examples: map[string]string{
			"list":   "  quis tenant list\n  quis tenant list -o json | jq -r '.[].slug'",
			"get":    "  quis tenant get acme\n  quis tenant get ten_default -o json",
			"create": "  quis tenant create acme name='Acme Ltd'\n  quis tenant create rocket name=Rocket disabled=true",
			"set":    "  quis tenant set acme disabled=true\n  quis tenant set --fields",
			"delete": "  quis tenant delete acme\n  quis tenant delete acme --yes",
		},
	}.Commands()...)
	return c
}

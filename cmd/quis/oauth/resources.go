package oauth

import (
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/kind"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Scope is `quis scope`.
func Scope() *cobra.Command {
	c := &cobra.Command{
		Use:     "scope",
		Short:   "What applications may ask for, and how people are asked",
		Example: "  quis scope create orders:read friendly_name='Read orders' texts='{\"en\": \"See your orders\"}'\n  quis scope list",
	}
	line.Group(c)
	c.AddCommand(kind.Kind{
		Word: "scope", What: "the name of a scope", First: "name", Key: "name",
		Columns: []string{"name", "friendly_name", "resource_server_id", "sensitive", "implied", "optional"},
		Rows:    func(c *client.Client) client.Rows { return c.Scopes },
		Warning: "Applications that may ask for it still may; nobody is told any more what it means.",
		Examples: map[string]string{
			"list":   "  quis scope list\n  quis scope list -o json | jq -r '.[].name'",
			"get":    "  quis scope get orders:read\n  quis scope get openid -o json",
			"create": "  quis scope create orders:read friendly_name='Read orders'\n  quis scope create orders:write texts='{\"en\": \"Change your orders\", \"de\": \"Ihre Bestellungen ändern\"}' sensitive=true",
			"set":    "  quis scope set orders:read sensitive=true claims+=customer_number\n  quis scope set --fields",
			"delete": "  quis scope delete orders:read\n  quis scope delete orders:read --yes",
		},
	}.Commands()...)
	return c
}

// Resource is `quis resource`.
func Resource() *cobra.Command {
	c := &cobra.Command{
		Use:     "resource",
		Short:   "The APIs that tokens are for (resource servers)",
		Example: "  quis resource create https://orders.example.com name=Orders open_to_all=true\n  quis resource list",
	}
	line.Group(c)
	c.AddCommand(kind.Kind{
		Word: "resource", What: "the identifier or ID of a resource server", First: "identifier", Key: "id",
		Columns: []string{"id", "identifier", "name", "scopes", "open_to_all", "disabled"},
		Rows:    func(c *client.Client) client.Rows { return c.ResourceServers },
		Warning: "Nobody is given tokens for it any more. No scope may belong to it.",
		Examples: map[string]string{
			"list":   "  quis resource list\n  quis resource list -o json | jq -r '.[].identifier'",
			"get":    "  quis resource get https://orders.example.com\n  quis resource get https://orders.example.com -o json",
			"create": "  quis resource create https://orders.example.com name=Orders open_to_all=true\n  quis resource create https://pay.example.com name=Payments token_expiry=300 signing_alg=PS256",
			"set":    "  quis resource set https://orders.example.com allowed_applications+=app_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis resource set --fields",
			"delete": "  quis resource delete https://orders.example.com\n  quis resource delete https://orders.example.com --yes",
		},
	}.Commands()...)
	return c
}

// Package settings is `quis settings`: how people of the tenant sign in.
//
// What the fields mean is the server's to say; here they are read and printed.
package settings

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/kind"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis settings`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "settings",
		Short:   "How people sign in: second factors, passwords, passkeys, sessions, recovery",
		Example: "  quis settings get\n  quis settings set mfa_policy=any password.min_length=12",
	}
	line.Group(c)
	c.AddCommand(kind.Single{
		Word: "settings", Get: "Show how people sign in", Set: "Change how people sign in; the rest stays",
		Long: " A part of a field is named with a dot.",
		Examples: map[string]string{
			"get": "  quis settings get\n  quis settings get -o json | jq .passkey",
			"set": "  quis settings set mfa_policy=passkey passkey.forbid_synced=true\n  quis settings set --fields",
		},
		Row: (*client.Client).Authentication, Fields: (*client.Client).AuthenticationFields, Show: show,
		Put: func(c *client.Client, ctx context.Context, now *client.Row, set map[string]any) (*client.Row, error) {
			return c.SetAuthentication(ctx, set, now.ETag)
		},
	}.Commands()...)
	c.AddCommand(loweringCommand())
	return c
}

// show prints every field, those within others as field.part.
func show(cmd *cobra.Command, s *client.Row) error {
	return line.Emit(cmd, s, nil, func(row func(...any)) {
		all := kind.Flat(s.Fields)
		for _, n := range slices.Sorted(maps.Keys(all)) {
			row(n, all[n])
		}
	})
}

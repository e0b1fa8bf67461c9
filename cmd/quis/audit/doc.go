// Package audit is `quis audit`: what happened, newest first and with filters, one event with all
// that is known of it, and whether the record is intact.
//
// Events are of the tenant of whoever asks; the chain that is verified is that of all tenants.
package audit

import (
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis audit`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "audit",
		Short:   "The record of everything that happened",
		Example: "  quis audit list --user alice --since 24h\n  quis audit verify",
	}
	line.Group(c)
	c.AddCommand(listCommand(), showCommand(), verifyCommand())
	return c
}

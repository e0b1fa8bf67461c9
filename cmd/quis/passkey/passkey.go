// Package passkey is `quis passkey`: what concerns passkeys of the whole installation.
//
// A person's passkeys are theirs; those of a user whom an administrator helps are among
// their factors.
package passkey

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis passkey`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "passkey",
		Short:   "FIDO metadata, by which makes of passkeys and security keys are verified",
		Example: "  quis passkey metadata\n  quis passkey metadata import blob.jwt",
	}
	line.Group(c)
	c.AddCommand(metadataCommand())
	return c
}

func metadataCommand() *cobra.Command {
	c := line.Online(&cobra.Command{
		Use:     "metadata",
		Short:   "Show which FIDO metadata are in use",
		Example: "  quis passkey metadata\n  quis passkey metadata -o json | jq .due",
		Args:    line.None,
		RunE:    line.Answer((*client.Client).PasskeyMetadata, show),
	})
	c.AddCommand(line.Online(&cobra.Command{
		Use:   "import FILE",
		Short: "Import FIDO metadata from a file",
		Long: "Sends the file to a node, which verifies that FIDO has signed it; then all nodes use it. Nothing is fetched: get\n" +
			"the file from https://mds3.fidoalliance.org, on a machine that reaches it, and import a newer one every month. Passkeys\n" +
			"of models that it reports as revoked or broken sign nobody in from then on, and those that are older than the\n" +
			"file are verified by it when they sign in next. It also says whose keys hardware protects, which level 3 takes: import\n" +
			"it again if that was done with a release that did not read this (quis user factors USER -o json says hardware).",
		Example: "  curl -Lo blob.jwt https://mds3.fidoalliance.org && quis passkey metadata import blob.jwt\n  quis passkey metadata import /mnt/usb/blob.jwt",
		Args:    line.Exactly("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			f, err := os.Open(args[0])
			if err != nil {
				return err
			}
			defer f.Close()
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.PasskeyMetadata, error) {
				m, err := c.ImportPasskeyMetadata(ctx, f)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", args[0], err)
				}
				return m, nil
			}, show)(cmd, nil)
		},
	}))
	return c
}

func show(cmd *cobra.Command, m *client.PasskeyMetadata) error {
	return line.Emit(cmd, m, nil, func(row func(...any)) {
		row("Number", m.Number)
		row("Models", m.Models)
		row("Imported", m.ImportedAt.Local().Format(time.DateTime))
		next := m.NextUpdateAt.Format(time.DateOnly)
		if m.Due {
			next += ", which has passed: import the newest"
		}
		row("Next update", next)
	})
}

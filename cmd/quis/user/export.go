package user

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func exportCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:   "export",
		Short: "Write all users to standard output, as CSV or with -o json as JSON",
		Long: "Passwords and other secrets are not part of it. `quis user import` reads what it writes, and puts people in their groups,\n" +
			"which must be there by name: `quis group create` makes them.",
		Example: "  quis user export > people.csv\n  quis user export -o json > people.json",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) ([]map[string]any, error) {
			users, err := client.Collect(ctx, client.List{Limit: 200}, c.Users.Exported)
			if err != nil {
				return nil, err
			}
			rows := make([]map[string]any, len(users))
			for i, u := range users {
				rows[i] = map[string]any{
					"username": u.Username, "email": u.Email, "email_verified": u.EmailVerified, "name": u.Name, "given_name": u.GivenName,
					"family_name": u.FamilyName, "locale": u.Locale, "admin": u.Admin, "disabled": u.Disabled,
					"groups": append([]string{}, u.Groups...),
				}
			}
			return rows, nil
		}, func(cmd *cobra.Command, rows []map[string]any) error {
			if asJSON, err := line.AsJSON(cmd); err != nil || asJSON {
				return errors.Join(err, line.WriteJSON(cmd.OutOrStdout(), rows))
			}
			return writeCSV(cmd.OutOrStdout(), rows)
		}),
	})
}

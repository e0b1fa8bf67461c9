package user

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func impersonateCommand() *cobra.Command {
	var reason string
	var minutes int
	c := line.Online(&cobra.Command{
		Use:   "impersonate USER --reason TEXT",
		Short: "Make a link by which you act as a user, for a while; it is shown once",
		Long: "The tenant has to allow it (allow_impersonation), and you send the access token of an admin user: a person has to answer\n" +
			"for it. The link works once, for five minutes. What is done is recorded with your name, and the user is told the reason.",
		Example: "  quis user impersonate alice --reason 'ticket 4711: cannot open the wiki'\n  quis user impersonate alice --reason 'ticket 4711' --minutes 10",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if err := line.Exactly(whom)(cmd, args); err != nil {
			return err
		}
		if reason == "" {
			return line.Usage(cmd, "say why, with --reason: it is recorded, and the user is told")
		}
		if minutes < 1 || minutes > 60 {
			return line.Usage(cmd, "--minutes must be 1 to 60")
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Impersonation, error) {
			u, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Users.Impersonate(ctx, u.ID, reason, minutes)
		}, func(cmd *cobra.Command, i *client.Impersonation) error {
			return line.Emit(cmd, i, nil, func(row func(...any)) {
				row("url", i.URL)
				row("expires_at", i.ExpiresAt.Local().Format(time.DateTime))
				row("minutes", i.Minutes)
			})
		})(cmd, args)
	}
	c.Flags().StringVar(&reason, "reason", "", "why you act as the user")
	c.Flags().IntVar(&minutes, "minutes", 30, "how long at most")
	return c
}

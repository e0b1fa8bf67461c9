package user

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func recoverCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "recover",
		Short:   "Let people back in who have lost what they sign in with",
		Example: "  quis user recover link alice\n  quis user recover list",
	}
	line.Group(c)
	c.AddCommand(recoverLinkCommand(), recoverListCommand(), recoverApproveCommand(), recoverCancelCommand())
	return c
}

func recoverLinkCommand() *cobra.Command {
	var hours int
	c := line.Online(&cobra.Command{
		Use:   "link USER",
		Short: "Make a link by which a user gets back in, or in for the first time; it is shown once",
		Long: "Make sure that it is the user who asks, and give the link to nobody else: whoever has it gets into the account, once.\n" +
			"All second factors, trusted browsers and sessions of the user go, and a new password is chosen. A user who was never in\n" +
			"is welcomed instead. Where the tenant wants two administrators, another one has to approve the link before it works.",
		Example: "  quis user recover link alice\n  quis user recover link alice --hours 1 -o json | jq -r .url",
		Args:    line.Exactly(whom),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Recovery, error) {
			u, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Users.Recover(ctx, u.ID, hours*3600)
		}, showRecovery)(cmd, args)
	}
	c.Flags().IntVar(&hours, "hours", 24, "hours that the link works")
	return c
}

func showRecovery(cmd *cobra.Command, r *client.Recovery) error {
	return line.Emit(cmd, r, nil, func(row func(...any)) {
		row("id", r.ID)
		if r.URL != "" {
			row("url", r.URL)
		}
		row("state", r.State)
		row("expires_at", r.ExpiresAt.Local().Format(time.DateTime))
	})
}

func recoverListCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "list",
		Short:   "List the accounts that somebody is getting back into, without links",
		Example: "  quis user recover list\n  quis user recover list -o json | jq -r '.[].user_id'",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) ([]client.Recovery, error) {
			return client.Collect(ctx, client.List{Limit: 200, Consistent: true}, c.Recoveries)
		}, func(cmd *cobra.Command, waiting []client.Recovery) error {
			return line.Emit(cmd, waiting, []string{"ID", "USER", "BY", "STATE", "FROM", "UNTIL"}, func(row func(...any)) {
				for _, r := range waiting {
					row(r.ID, r.UserID, begunBy(&r), r.State, r.ReadyAt.Local().Format(time.DateTime), r.ExpiresAt.Local().Format(time.DateTime))
				}
			})
		}),
	})
}

func begunBy(r *client.Recovery) string {
	switch {
	case r.Kind == "person":
		return "the user"
	case r.CreatedBy.ID != "":
		return r.CreatedBy.ID
	}
	return r.CreatedBy.Kind
}

func recoverApproveCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "approve USER ID",
		Short:   "Approve the recovery link that another administrator has made",
		Long:    "The ID says which link: one that took its place meanwhile is not approved. Who made the link cannot approve it, nor can the user.",
		Example: "  quis user recover approve alice rcv_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis user recover list",
		Args:    line.Exactly(whom, "the ID of a recovery"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.Recovery, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return c.Users.ApproveRecovery(ctx, u.ID, args[1])
			}, showRecovery)(cmd, args)
		},
	})
}

func recoverCancelCommand() *cobra.Command {
	return doing(&cobra.Command{
		Use: "cancel USER", Short: "Stop the recovery of a user; its link stops working",
		Example: "  quis user recover cancel alice\n  quis user recover cancel alice@example.com",
	}, "Nobody is getting back into the account of %s any more.", func(ctx context.Context, c *client.Client, u *client.User) error {
		return c.Users.CancelRecovery(ctx, u.ID)
	})
}

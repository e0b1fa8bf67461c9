package user

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func inviteCommand() *cobra.Command {
	f := client.InvitationFields{}
	var days int
	var link bool
	c := line.Online(&cobra.Command{
		Use:   "invite EMAIL",
		Short: "Mail a person a link by which they make themselves an account",
		Long: "Whoever has the link can make the account, once. With --link it is shown to you instead, once: send it to that person alone.\n" +
			"`quis user resend` mails it again; `quis mail deliveries` says what became of the mail.",
		Example: "  quis user invite alice@example.com\n  quis user invite alice@example.com --username alice --days 1 --link",
		Args:    line.Exactly("the address of the person"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		f.Email, f.ExpiresIn, f.Mail = args[0], days*24*3600, !link
		var open []*client.Invitation
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Invitation, error) {
			waiting, err := client.Collect(ctx, client.List{Limit: 200, Consistent: true}, c.Invitations)
			if err != nil {
				return nil, err
			}
			open = meant(waiting, f.Email, func(i *client.Invitation) (id, name string) { return i.ID, i.Email })
			return c.Invite(ctx, f)
		}, func(cmd *cobra.Command, i *client.Invitation) error {
			for _, o := range open {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s was invited already, by %s until %s, whose link goes on working: `%s` ends it.\n",
					line.Plain(o.Email), o.ID, o.ExpiresAt.Local().Format(time.DateTime), line.Next(cmd, "user uninvite "+o.ID))
			}
			return showInvitation(cmd, i)
		})(cmd, args)
	}
	c.Flags().StringVar(&f.Username, "username", "", "name to sign in with (default: the person chooses)")
	c.Flags().StringVar(&f.Name, "name", "", "name as it is shown")
	c.Flags().BoolVar(&f.Admin, "admin", false, "the person will be an administrator")
	c.Flags().IntVar(&days, "days", 7, "days that the link works")
	c.Flags().BoolVar(&link, "link", false, "show the link instead of mailing it")
	return c
}

func showInvitation(cmd *cobra.Command, i *client.Invitation) error {
	return line.Emit(cmd, i, nil, func(row func(...any)) {
		row("id", i.ID)
		if i.URL != "" {
			row("url", i.URL)
		} else {
			row("mailed_to", i.Email)
		}
		row("expires_at", i.ExpiresAt.Local().Format(time.DateTime))
	})
}

func resendCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "resend INVITATION",
		Short:   "Mail an invitation again, with a new link; the former one stops working",
		Example: "  quis user resend alice@example.com\n  quis user resend inv_01jc8q2v7m3k5t9w0x4y6z8a1b",
		Args:    line.Exactly(which),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.Invitation, error) {
				i, err := findInvitation(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return c.SendInvitation(ctx, i.ID)
			},
				showInvitation)(cmd, args)
		},
	})
}

func invitationsCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "invitations",
		Short:   "List the invitations that wait, without their links",
		Example: "  quis user invitations\n  quis user invitations -o json",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) ([]client.Invitation, error) {
			return client.Collect(ctx, client.List{Limit: 200}, c.Invitations)
		}, func(cmd *cobra.Command, waiting []client.Invitation) error {
			return line.Emit(cmd, waiting, []string{"ID", "EMAIL", "ADMIN", "MAILED", "UNTIL"}, func(row func(...any)) {
				for _, i := range waiting {
					row(i.ID, i.Email, line.Yes(i.Admin), day(i.MailedAt), i.ExpiresAt.Local().Format(time.DateTime))
				}
			})
		}),
	})
}

func uninviteCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "uninvite INVITATION",
		Short:   "Take an invitation back: its link stops working",
		Example: "  quis user uninvite alice@example.com\n  quis user uninvite inv_01jc8q2v7m3k5t9w0x4y6z8a1b",
		Args:    line.Exactly(which),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.Invitation, error) {
				i, err := findInvitation(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return i, c.Uninvite(ctx, i.ID)
			}, func(cmd *cobra.Command, i *client.Invitation) error {
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "The link of %s for %s works no more.\n", line.Plain(i.ID), line.Plain(i.Email))
				return err
			})(cmd, args)
		},
	})
}

const which = "the address of the invited person, or the ID of the invitation"

// findInvitation returns the invitation that a person means: by ID, or by an address that is invited once.
func findInvitation(ctx context.Context, c *client.Client, word string) (*client.Invitation, error) {
	waiting, err := client.Collect(ctx, client.List{Limit: 200, Consistent: true}, c.Invitations)
	if err != nil {
		return nil, err
	}
	found := meant(waiting, word, func(i *client.Invitation) (id, name string) { return i.ID, i.Email })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, line.Exit{Code: line.NotFound, Text: fmt.Sprintf("no invitation of %q waits; `quis user invitations` shows those that do", line.Plain(word))}
	}
	return nil, line.Exit{Code: line.Conflict, Text: fmt.Sprintf("%d invitations of %s wait: say which by its ID (`quis user invitations` shows them)", len(found), line.Plain(word))}
}

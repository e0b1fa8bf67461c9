package user

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func sessionsCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "sessions USER",
		Short:   "List the browsers that a user is signed in with, the latest sign-in first",
		Example: "  quis user sessions alice\n  quis user sessions alice -o json | jq -r '.[].ip'",
		Args:    line.Exactly(whom),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.Session, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return rows(ctx, u.ID, c.Users.Sessions)
			}, func(cmd *cobra.Command, all []client.Session) error {
				return line.Emit(cmd, all, []string{"ID", "ADDRESS", "SINCE", "LAST USED", "UNTIL", "BROWSER"}, func(row func(...any)) {
					for _, s := range all {
						row(s.ID, s.IP, until(&s.CreatedAt), until(&s.LastSeen), until(&s.ExpiresAt), s.UserAgent)
					}
				})
			})(cmd, args)
		},
	})
}

func endSessionCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "end-session USER ID",
		Short:   "Sign a user out in one browser",
		Long:    "ID is that of a session: `quis user sessions USER` shows them. `quis user sign-out USER` ends all.",
		Example: "  quis user end-session alice ses_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis user end-session alice@example.com ses_01jc8q2v7m3k5t9w0x4y6z8a1b",
		Args:    line.Exactly(whom, "the ID of a session"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				all, err := rows(ctx, u.ID, c.Users.Sessions)
				if err != nil {
					return nil, err
				}
				if !slices.ContainsFunc(all, func(s client.Session) bool { return s.ID == args[1] }) {
					return nil, line.Exit{Code: line.NotFound, Text: fmt.Sprintf("%s has no session %q; `quis user sessions %[1]s` shows them", line.Plain(u.Username), line.Plain(args[1]))}
				}
				return u, c.EndSession(ctx, args[1])
			}, func(cmd *cobra.Command, u *client.User) error {
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s is ended.\n", line.Plain(args[1]), line.Plain(u.Username))
				return err
			})(cmd, args)
		},
	})
}

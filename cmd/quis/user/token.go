package user

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "token",
		Short:   "Access tokens of a user, with which programs ask the API",
		Example: "  quis user token create alice backups --days 90\n  quis user token list alice",
	}
	line.Group(c)
	c.AddCommand(createTokenCommand(), listTokensCommand(), deleteTokenCommand())
	return c
}

func createTokenCommand() *cobra.Command {
	days := 365
	var scopes []string
	c := line.Online(&cobra.Command{
		Use:   "create USER NAME",
		Short: "Make an access token; it is shown once",
		Long: "NAME is what the token is for. It may do what the user may, or less with --scope. In QUIS_TOKEN, or a file that\n" +
			"QUIS_TOKEN_FILE names, it lets this program ask a node elsewhere; others send it as Authorization: Bearer.\n" +
			"It works for 365 days, or as many as --days says; for more only the operator can make one, at the socket of a node.",
		Example: "  quis user token create alice backups --days 90\n  quis user token create alice ci --scope read -o json | jq -r .token",
		Args:    line.Exactly(whom, "what the token is for"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Token, error) {
			u, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Users.CreateToken(ctx, u.ID, args[1], time.Now().Add(time.Duration(days)*24*time.Hour), scopes...)
		}, func(cmd *cobra.Command, t *client.Token) error {
			fmt.Fprintf(cmd.ErrOrStderr(), "The token is shown this once and stored nowhere. It works until %s.\n", until(t.ExpiresAt))
			return line.Emit(cmd, t, nil, func(row func(...any)) {
				row("id", t.ID)
				row("name", t.Name)
				row("scopes", strings.Join(t.Scopes, " "))
				row("expires_at", until(t.ExpiresAt))
				row("token", t.Token)
			})
		})(cmd, args)
	}
	line.Between(c, &days, "days", 1, 3650, "for how many days it works; more than 365 only at the socket of a node")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "what it is good for: me, read, write (default: all that the user may do)")
	line.Complete(c, "scope", "me", "read", "write")
	return c
}

func until(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Local().Format(time.DateTime)
}

func listTokensCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "list USER",
		Short:   "List the access tokens of a user, without their values",
		Example: "  quis user token list alice\n  quis user token list alice -o json",
		Args:    line.Exactly(whom),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.Token, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return rows(ctx, u.ID, c.Users.Tokens)
			}, func(cmd *cobra.Command, all []client.Token) error {
				return line.Emit(cmd, all, []string{"ID", "NAME", "SCOPES", "ADDED", "LAST USED", "UNTIL"}, func(row func(...any)) {
					for _, t := range all {
						row(t.ID, t.Name, strings.Join(t.Scopes, " "), day(&t.CreatedAt), day(t.LastUsedAt), day(t.ExpiresAt))
					}
				})
			})(cmd, args)
		},
	})
}

func deleteTokenCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "delete USER TOKEN",
		Short:   "End an access token of a user",
		Long:    "TOKEN is what the token is for, if the user has one only of that name, or its ID.",
		Example: "  quis user token delete alice backups\n  quis user token delete alice tok_01jc8q2v7m3k5t9w0x4y6z8a1b",
		Args:    line.Exactly(whom, "the name or ID of an access token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				t, err := findToken(ctx, c, u, args[1])
				if err != nil {
					return nil, err
				}
				return u, c.Users.DeleteToken(ctx, u.ID, t.ID)
			}, func(cmd *cobra.Command, u *client.User) error {
				_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s of %s is ended.\n", line.Plain(args[1]), line.Plain(u.Username))
				return err
			})(cmd, args)
		},
	})
}

// findToken returns the token of u that a person means: by ID, or by a name that it alone has.
func findToken(ctx context.Context, c *client.Client, u *client.User, word string) (*client.Token, error) {
	all, err := rows(ctx, u.ID, c.Users.Tokens)
	if err != nil {
		return nil, err
	}
	list, user := "quis user token list "+line.Plain(u.Username), line.Plain(u.Username)
	found := meant(all, word, func(t *client.Token) (id, name string) { return t.ID, t.Name })
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, line.Exit{Code: line.NotFound, Text: fmt.Sprintf("%s has no access token %q; `%s` shows them", user, line.Plain(word), list)}
	}
	return nil, line.Exit{Code: line.Conflict, Text: fmt.Sprintf("%s has %d access tokens %q: say which by its ID (`%s` shows them)", user, len(found), line.Plain(word), list)}
}

package user

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func listCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "list [BEGINNING]",
		Short:   "List the users, or those whose username, address or name begins so",
		Example: "  quis user list\n  quis user list 'ali do' -o json | jq -r '.[].email'",
		Args:    line.AtMost("beginning of a username, of an address, or of words of a name"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.User, error) {
				return all(ctx, c, strings.Join(args, ""))
			}, func(cmd *cobra.Command, users []client.User) error {
				return line.Emit(cmd, users, []string{"USERNAME", "EMAIL", "NAME", "ADMIN", "DISABLED", "ID"}, func(row func(...any)) {
					for _, u := range users {
						row(u.Username, u.Email, u.Name, line.Yes(u.Admin), line.Yes(u.Disabled), u.ID)
					}
				})
			})(cmd, args)
		},
	})
}

func all(ctx context.Context, c *client.Client, beginning string) ([]client.User, error) {
	search := func(ctx context.Context, l client.List) (*client.Page[client.User], error) {
		return c.Users.Search(ctx, beginning, l)
	}
	return client.Collect(ctx, client.List{Limit: 200}, search)
}

func getCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "get USER",
		Short:   "Show a user, by username, address or ID",
		Example: "  quis user get alice\n  quis user get alice@example.com -o json",
		Args:    line.Exactly(whom),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) { return Find(ctx, c, args[0]) }, func(cmd *cobra.Command, u *client.User) error {
				err := show(cmd, u)
				unproved(cmd, u)
				return err
			})(cmd, args)
		},
	})
}

// unproved says what an address means that is not confirmed.
func unproved(cmd *cobra.Command, u *client.User) {
	if u.Email != "" && !u.EmailVerified {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is not confirmed: until it is, a forgotten password cannot be recovered by mail. If you know that it is theirs: %s\n",
			line.Plain(u.Email), line.Next(cmd, "user set "+u.Username+" email_verified=true"))
	}
}

func show(cmd *cobra.Command, u *client.User) error {
	return line.Emit(cmd, u, nil, func(row func(...any)) {
		row("id", u.ID)
		row("username", u.Username)
		row("email", u.Email)
		row("email_verified", line.Yes(u.EmailVerified))
		row("name", u.Name)
		row("given_name", u.GivenName)
		row("family_name", u.FamilyName)
		row("locale", u.Locale)
		row("admin", line.Yes(u.Admin))
		row("disabled", line.Yes(u.Disabled))
		row("created_at", u.CreatedAt.Local().Format(time.DateTime))
		row("updated_at", u.UpdatedAt.Local().Format(time.DateTime))
	})
}

func form(fields map[string]client.Field) assign.Form {
	return assign.Form{Fields: fields, Help: "quis user set --fields"}
}

func createCommand() *cobra.Command {
	c := line.Online(&cobra.Command{
		Use:     "create USERNAME [FIELD=VALUE…]",
		Short:   "Make a user, who cannot sign in yet",
		Long:    "`quis user password` gives a user a first password; `quis user invite` has people make the account themselves.",
		Example: "  quis user create alice email=alice@example.com name='Alice Doe'\n  quis user set --fields",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return line.Usage(cmd, "%s wants the username", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
			known, err := c.Users.Fields(ctx)
			if err != nil {
				return nil, err
			}
			set, err := form(known).Read(cmd, args[1:], nil)
			if err != nil {
				return nil, err
			}
			set["username"] = args[0]
			return c.Users.Make(ctx, set)
		}, func(cmd *cobra.Command, u *client.User) error {
			err := show(cmd, u)
			unproved(cmd, u)
			fmt.Fprintf(cmd.ErrOrStderr(), "%s cannot sign in yet.\nNext: %s   (a link, to choose a password with)\n   or %s   (reads one that you choose)\n",
				line.Plain(u.Username), line.Next(cmd, "user recover link "+u.Username), line.Next(cmd, "user password "+u.Username))
			return err
		})(cmd, args)
	}
	return c
}

func setCommand() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use:     "set USER FIELD=VALUE…",
		Short:   "Change fields of a user; the rest stays",
		Example: "  quis user set alice email=alice@example.com admin=true\n  quis user set --fields",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) < 2 {
			return line.Usage(cmd, "%s wants a user and field=value", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if fields {
			return line.Answer(func(c *client.Client, ctx context.Context) (map[string]client.Field, error) {
				return c.Users.Fields(ctx)
			},
				func(cmd *cobra.Command, known map[string]client.Field) error { return form(known).Print(cmd) })(cmd, args)
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
			known, err := c.Users.Fields(ctx)
			if err != nil {
				return nil, err
			}
			set, err := form(known).Read(cmd, args[1:], nil)
			if err != nil {
				return nil, err
			}
			u, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Users.Set(ctx, u.ID, set, u.ETag)
		}, show)(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
	return c
}

func disableCommand() *cobra.Command {
	return switching("disable", true, "Keep a user from signing in; sessions and tokens end",
		"They do not come back when the user is enabled again. The last administrator of the installation who can sign in is not disabled.")
}

func enableCommand() *cobra.Command {
	return switching("enable", false, "Let a user sign in again who was disabled", "")
}

func switching(verb string, disabled bool, short, long string) *cobra.Command {
	return line.Online(&cobra.Command{
		Use: verb + " USER", Short: short, Long: long, Args: line.Exactly(whom),
		Example: "  quis user " + verb + " alice\n  quis user " + verb + " alice@example.com",
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return c.Users.Set(ctx, u.ID, map[string]any{"disabled": disabled}, "")
			}, show)(cmd, args)
		},
	})
}

// doing is a command that does one thing to a user and prints one line.
func doing(c *cobra.Command, said string, do func(context.Context, *client.Client, *client.User) error) *cobra.Command {
	c.Args = line.Exactly(whom)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
			u, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return u, do(ctx, c, u)
		}, func(cmd *cobra.Command, u *client.User) error {
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), said+"\n", line.Plain(u.Username))
			return err
		})(cmd, args)
	}
	return line.Online(c)
}

func signOutCommand() *cobra.Command {
	return doing(&cobra.Command{
		Use: "sign-out USER", Short: "Sign a user out everywhere",
		Example: "  quis user sign-out alice\n  quis user sign-out alice@example.com",
	}, "%s is signed out everywhere. Access tokens go on: quis user token list, delete.", func(ctx context.Context, c *client.Client, u *client.User) error {
		return c.Users.EndSessions(ctx, u.ID)
	})
}

func deleteCommand() *cobra.Command {
	var sure bool
	c := doing(&cobra.Command{
		Use: "delete USER", Short: "Delete a user, with sessions, credentials and memberships",
		Long:    "The last administrator of the installation who can sign in is not deleted: make another one first.",
		Example: "  quis user delete alice\n  quis user delete alice --yes",
	}, "%s is deleted.", func(ctx context.Context, c *client.Client, u *client.User) error { return c.Users.Delete(ctx, u.ID) })
	run := c.RunE
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if _, err := look(cmd, args[0]); err != nil {
			return err
		}
		if err := line.Confirm(cmd, args[0], sure, "The account and all that hangs on it will not come back."); err != nil {
			return err
		}
		return run(cmd, args)
	}
	line.SureFlag(c, &sure)
	return c
}

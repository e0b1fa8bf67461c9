package user

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func factorsCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "factors USER",
		Short:   "List how a user proves who they are, besides the password",
		Example: "  quis user factors alice\n  quis user factors alice -o json",
		Args:    line.Exactly(whom),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.Factor, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return rows(ctx, u.ID, c.Users.Factors)
			}, func(cmd *cobra.Command, all []client.Factor) error {
				return line.Emit(cmd, all, []string{"ID", "TYPE", "NAME", "ADDED", "LAST USED", "LEFT"}, func(row func(...any)) {
					for _, f := range all {
						row(f.ID, f.Type, f.Name, day(&f.CreatedAt), day(f.LastUsedAt), left(f.Left))
					}
				})
			})(cmd, args)
		},
	})
}

func resetFactorCommand() *cobra.Command {
	return removal(removing{
		use: "reset-factor USER", what: "factor", short: "Remove a factor of a user who has lost it, or all",
		long: "The password stays, and what the user is signed in to. The trust in all devices of the user ends.\n" +
			"What is all that a user can sign in with is kept: a recovery link (`quis user recover link`) lets the user back in\n" +
			"and removes it, too. --force removes it at once.",
		example: "  quis user reset-factor alice otp_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis user reset-factor alice --all",
		warning: "%s will have to set up a second factor anew.",
		done:    "%s of %s is removed.", doneAll: "%s has no factors besides the password any more.",
		last: true,
		one:  client.Users.ResetFactor, all: client.Users.ResetFactors,
	})
}

func devicesCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "devices USER",
		Short:   "List the devices that a user is trusted in without a second factor",
		Example: "  quis user devices alice\n  quis user devices alice -o json",
		Args:    line.Exactly(whom),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.TrustedDevice, error) {
				u, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return rows(ctx, u.ID, c.Users.Devices)
			}, func(cmd *cobra.Command, all []client.TrustedDevice) error {
				return line.Emit(cmd, all, []string{"ID", "NAME", "SINCE", "LAST USED", "UNTIL"}, func(row func(...any)) {
					for _, d := range all {
						row(d.ID, d.Name, day(&d.CreatedAt), day(d.LastUsedAt), day(&d.ExpiresAt))
					}
				})
			})(cmd, args)
		},
	})
}

func revokeDeviceCommand() *cobra.Command {
	return removal(removing{
		use: "revoke-device USER", what: "device", short: "End the trust in a device of a user, or in all",
		long:    "The user is asked for a second factor there at the next sign-in.",
		example: "  quis user revoke-device alice dev_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis user revoke-device alice --all",
		done:    "%s of %s is trusted no more.", doneAll: "No device of %s is trusted any more.",
		one: func(u client.Users, ctx context.Context, id, device string, _ bool) error {
			return u.RevokeDevice(ctx, id, device)
		},
		all: func(u client.Users, ctx context.Context, id string, _ bool) error { return u.RevokeDevices(ctx, id) },
	})
}

// removing is a command that takes one thing, or all of its kind, from a user.
type removing struct {
	use, what, short, long, example string
	warning                         string // with the user's name; "": nothing is lost, so nobody is asked
	done, doneAll                   string // with the ID and the user's name, and with the name
	last                            bool   // it may be the last way to sign in, which the server keeps unless forced
	one                             func(client.Users, context.Context, string, string, bool) error
	all                             func(client.Users, context.Context, string, bool) error
}

func removal(r removing) *cobra.Command {
	var all, sure, force bool
	c := line.Online(&cobra.Command{Use: r.use + " [ID]", Short: r.short, Long: r.short + ".\n\n" + r.long, Example: r.example})
	c.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) > 2:
			return line.Surplus(cmd, 2, args)
		case len(args) == 0:
			return line.Usage(cmd, "%s wants %s, and the ID of a %s or --all", cmd.CommandPath(), whom, r.what)
		case len(args) == 1 && !all:
			return line.Usage(cmd, "say which %s by its ID (`quis user %ss %s` shows them), or --all", r.what, r.what, args[0])
		case len(args) == 2 && all:
			return line.Usage(cmd, "one %s is named, and --all: give one of the two", r.what)
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if r.warning != "" {
			if _, err := look(cmd, args[0]); err != nil {
				return err
			}
			if err := line.Confirm(cmd, args[0], sure, fmt.Sprintf(r.warning, line.Plain(args[0]))); err != nil {
				return err
			}
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
			u, err := Find(ctx, c, args[0])
			switch {
			case err != nil:
				return nil, err
			case all:
				return u, LastWay(cmd, u, r.all(c.Users, ctx, u.ID, force))
			}
			err = r.one(c.Users, ctx, u.ID, args[1], force)
			if client.Status(err) == http.StatusNotFound {
				err = line.Exit{Code: line.NotFound, Text: fmt.Sprintf("%s has no %s %q; `%s` shows them", line.Plain(u.Username), r.what, line.Plain(args[1]), line.Next(cmd, "user "+r.what+"s "+u.Username))}
			}
			return u, LastWay(cmd, u, err)
		}, func(cmd *cobra.Command, u *client.User) (err error) {
			if all {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), r.doneAll+"\n", line.Plain(u.Username))
			} else {
				_, err = fmt.Fprintf(cmd.ErrOrStderr(), r.done+"\n", line.Plain(args[1]), line.Plain(u.Username))
			}
			return err
		})(cmd, args)
	}
	c.Flags().BoolVar(&all, "all", false, "all of them")
	if r.last {
		c.Flags().BoolVar(&force, "force", false, ForceUsage)
	}
	if r.warning != "" {
		line.SureFlag(c, &sure)
	}
	return c
}

// ForceUsage says what --force takes away.
const ForceUsage = "also what the user signs in with, if that is all there is"

// LastWay says what to do where the server has kept what a user signs in with.
func LastWay(cmd *cobra.Command, u *client.User, err error) error {
	if client.Status(err) != http.StatusConflict {
		return err
	}
	return line.Exit{Code: line.Conflict, Text: fmt.Sprintf("nothing was removed: %s would have nothing left to sign in with. `%s` lets them back in and removes it; --force removes it now",
		line.Plain(u.Username), line.Next(cmd, "user recover link "+u.Username))}
}

// rows gathers what a user has; none is an empty list. It asks for no number of rows: what one
// user has comes on one page, and such lists take no limit.
func rows[T any](ctx context.Context, id string, list func(context.Context, string, client.List) (*client.Page[T], error)) ([]T, error) {
	of := func(ctx context.Context, l client.List) (*client.Page[T], error) { return list(ctx, id, l) }
	return client.Collect(ctx, client.List{Consistent: true}, of)
}

func day(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Local().Format(time.DateOnly)
}

func left(n *int) string {
	if n == nil {
		return ""
	}
	return fmt.Sprint(*n)
}

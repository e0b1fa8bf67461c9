package user

import (
	"context"
	"fmt"
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
		long:    "The password stays, and what the user is signed in to. The trust in all devices of the user ends.",
		example: "  quis user reset-factor alice otp_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis user reset-factor alice --all",
		warning: "%s will have to set up a second factor anew.",
		one:     client.Users.ResetFactor, all: client.Users.ResetFactors,
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
		one:     client.Users.RevokeDevice, all: client.Users.RevokeDevices,
	})
}

// removing is a command that takes one thing, or all of its kind, from a user.
type removing struct {
	use, what, short, long, example string
	warning                         string // with the user's name; "": nothing is lost, so nobody is asked
	one                             func(client.Users, context.Context, string, string) error
	all                             func(client.Users, context.Context, string) error
}

func removal(r removing) *cobra.Command {
	var all, sure bool
	c := line.Online(&cobra.Command{Use: r.use + " [ID]", Short: r.short, Long: r.short + ".\n\n" + r.long, Example: r.example})
	c.Args = func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) == 0 || len(args) > 2:
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
				return u, r.all(c.Users, ctx, u.ID)
			}
			return u, r.one(c.Users, ctx, u.ID, args[1])
		}, func(*cobra.Command, *client.User) error { return nil })(cmd, args)
	}
	c.Flags().BoolVar(&all, "all", false, "all of them")
	if r.warning != "" {
		line.SureFlag(c, &sure)
	}
	return c
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

package user

import (
	"context"
	"errors"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func passwordCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "password USER", Short: "Give a user a new password, read from standard input",
		Long:    "The first line of standard input is the password: on the command line it would stay in the history of your shell.\nThe user is signed out everywhere.",
		Example: "  quis user password alice < password.txt\n  pwgen 20 1 | quis user password alice",
	}
	var change bool
	c.Flags().BoolVar(&change, "must-change", false, "the user must choose another one at the next sign-in")
	c = doing(c, "%s has a new password and is signed out everywhere.", func(ctx context.Context, n *client.Client, u *client.User) error {
		const most = 2 << 10
		text, err := io.ReadAll(io.LimitReader(c.InOrStdin(), most))
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(text), "\n")
		if first = strings.TrimRight(first, "\r"); first == "" || len(text) == most {
			return errors.New("standard input must have the password in one line")
		}
		if change {
			return n.Users.SetTemporaryPassword(ctx, u.ID, first)
		}
		return n.Users.SetPassword(ctx, u.ID, first)
	})
	c.Args = withoutPassword
	return c
}

// withoutPassword takes the user alone. What is more is the password, which is not repeated.
func withoutPassword(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return line.Usage(cmd, "%s takes one argument: the password is read from the terminal or standard input, as here it would stay in the history of your shell", cmd.CommandPath())
	}
	return line.Exactly(whom)(cmd, args)
}

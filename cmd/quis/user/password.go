package user

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func passwordCommand() *cobra.Command {
	var change bool
	c := line.Online(&cobra.Command{
		Use: "password USER", Short: "Give a user a new password, typed at the terminal or read from standard input",
		Long: "At a terminal it is asked for twice, and not shown; else the first line of standard input is the password. On the\n" +
			"command line it would stay in the history of your shell. The user is signed out everywhere.",
		Example: "  quis user password alice\n  quis user password alice < password.txt",
		Args:    withoutPassword,
		RunE:    func(cmd *cobra.Command, args []string) error { return setPassword(cmd, args[0], change) },
	})
	c.Flags().BoolVar(&change, "must-change", false, "the user must choose another one at the next sign-in")
	return c
}

// withoutPassword takes the user alone. What is more is the password, which is not repeated.
func withoutPassword(cmd *cobra.Command, args []string) error {
	if len(args) > 1 {
		return line.Usage(cmd, "%s takes one argument: the password is read from the terminal or standard input, as here it would stay in the history of your shell", cmd.CommandPath())
	}
	return line.Exactly(whom)(cmd, args)
}

// setPassword asks whether the user is there before it asks for a password, which may take its time.
func setPassword(cmd *cobra.Command, word string, temporary bool) error {
	u, err := look(cmd, word)
	if err != nil {
		return err
	}
	password, err := line.NewPassword(cmd, u.Username)
	if err != nil {
		return err
	}
	_, err = line.Ask(cmd, func(c *client.Client, ctx context.Context) (struct{}, error) {
		if temporary {
			return struct{}{}, c.Users.SetTemporaryPassword(ctx, u.ID, password)
		}
		return struct{}{}, c.Users.SetPassword(ctx, u.ID, password)
	})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "%s has a new password and is signed out everywhere.\n", line.Plain(u.Username))
	return err
}

package line

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

// Answer is what an online command runs: ask the node that its flags name, then print
// what it said. A mistake in --output is found before a node changes anything.
// The method expressions of client.Client fit ask.
func Answer[T any](ask func(*client.Client, context.Context) (T, error), print func(*cobra.Command, T) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, _ []string) error {
		if _, err := AsJSON(cmd); err != nil {
			return err
		}
		c, err := Connect(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := Asking(cmd)
		defer cancel()
		said, err := ask(c, ctx)
		if err != nil {
			return err
		}
		return print(cmd, said)
	}
}

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
		said, err := Ask(cmd, ask)
		if err != nil {
			return err
		}
		return print(cmd, said)
	}
}

// Ask asks the node that the flags of cmd name.
func Ask[T any](cmd *cobra.Command, ask func(*client.Client, context.Context) (T, error)) (said T, err error) {
	c, err := Connect(cmd)
	if err != nil {
		return said, err
	}
	ctx, cancel := Asking(cmd)
	defer cancel()
	return ask(c, ctx)
}

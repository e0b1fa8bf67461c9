package main

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
)

func setupLinkCommand() *cobra.Command {
	return online(&cobra.Command{
		Use:     "setup-link",
		Short:   "Make a new one-time link to create an administrator",
		Long:    "Makes a new one-time link to create an administrator. Whoever has it can be one, so give it to that person alone.\nOnly the newest link works.",
		Example: "  quis setup-link\n  quis setup-link --data-dir /var/lib/quis",
		Args:    none,
		RunE: answer((*client.Client).SetupLink, func(cmd *cobra.Command, link *client.SetupLink) error {
			err := emit(cmd, link, nil, func(row func(...any)) { row(link.URL) })
			fmt.Fprintf(cmd.ErrOrStderr(), "It works once, until %s.\n", link.ExpiresAt.Local().Format("15:04"))
			if link.Replaced {
				fmt.Fprintln(cmd.ErrOrStderr(), "The former link no longer works.")
			}
			return err
		}),
	})
}

func keysCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "keys",
		Short:   "The keys that sign tokens",
		Example: "  quis keys list\n  quis keys rotate --alg ES256",
	}
	group(c)
	c.AddCommand(online(&cobra.Command{
		Use:     "list",
		Short:   "List the signing keys with their phase",
		Example: "  quis keys list\n  quis keys list -o json",
		Args:    none,
		RunE:    answer((*client.Client).Keys, printKeys),
	}))
	var alg string
	var emergency bool
	rotate := online(&cobra.Command{
		Use:   "rotate",
		Short: "Publish successors of the signing keys now",
		Long: "The successor is published at once and signs when every node has it and caches have expired.\n" +
			"With --emergency it signs at once, the old key is gone, and everything it signed is void.",
		Example: "  quis keys rotate\n  quis keys rotate --alg RS256 --emergency",
		Args:    none,
		RunE: answer(func(c *client.Client, ctx context.Context) ([]client.Key, error) {
			return c.RotateKeys(ctx, alg, emergency)
		}, printKeys),
	})
	rotate.Flags().StringVar(&alg, "alg", "", "one algorithm only: ES256, RS256, PS256 or EdDSA (default: all in use)")
	rotate.Flags().BoolVar(&emergency, "emergency", false, "the old key has leaked: it is void at once")
	complete(rotate, "alg", "ES256", "RS256", "PS256", "EdDSA")
	c.AddCommand(rotate)
	return c
}

func printKeys(cmd *cobra.Command, keys []client.Key) error {
	return emit(cmd, keys, []string{"KEY", "ALGORITHM", "STATE", "SINCE", "NEXT PHASE"}, func(row func(...any)) {
		for _, k := range keys {
			next := ""
			if k.NextAt != nil {
				next = k.NextAt.Local().Format(time.DateTime)
			}
			row(k.Kid, k.Alg, k.State, k.Since.Local().Format(time.DateTime), next)
		}
	})
}

package oauth

import (
	"context"
	"fmt"
	"maps"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/kind"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Registration is `quis registration`.
func Registration() *cobra.Command {
	c := &cobra.Command{
		Use:     "registration",
		Short:   "What applications may register by themselves",
		Example: "  quis registration get\n  quis registration set mode=token redirect_hosts=.apps.example.com",
	}
	line.Group(c)
	c.AddCommand(kind.Single{
		Word: "registration", Get: "Show who may register an application, and what it may then do", Set: "Decide what applications may register by themselves; the rest stays",
		Examples: map[string]string{
			"get": "  quis registration get\n  quis registration get -o json | jq .mode",
			"set": "  quis registration set mode=open metadata_documents=true\n  quis registration set --fields",
		},
		Row: (*client.Client).RegistrationPolicy, Fields: (*client.Client).RegistrationPolicyFields, Show: kind.Show,
		Put: func(c *client.Client, ctx context.Context, now *client.Row, set map[string]any) (*client.Row, error) {
			whole := maps.Clone(now.Fields) // the API replaces it as a whole
			maps.Copy(whole, set)
			return c.SetRegistrationPolicy(ctx, whole)
		},
	}.Commands()...)
	c.AddCommand(tokenCommand())
	return c
}

// tokens are initial access tokens (RFC 7591, section 3). They have no fields to change.
var tokens = kind.Kind{
	Word: "token", What: "the name or ID of an initial access token", First: "name", Key: "id",
	Columns: []string{"id", "name", "uses", "used", "expires_at"},
	Rows:    func(c *client.Client) client.Rows { return c.RegistrationTokens },
	Examples: map[string]string{
		"list": "  quis registration token list\n  quis registration token list -o json",
	},
}

func tokenCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "token",
		Short:   "Initial access tokens, with which applications may be registered where mode=token",
		Example: "  quis registration token create CI --uses 10\n  quis registration token list",
	}
	line.Group(c)
	c.AddCommand(tokens.List(), createTokenCommand(), deleteTokenCommand())
	return c
}

func createTokenCommand() *cobra.Command {
	var uses, seconds int64
	c := line.Online(&cobra.Command{
		Use:     "create NAME",
		Short:   "Make an initial access token; it is shown once",
		Example: "  quis registration token create CI\n  quis registration token create CI --uses 10 --expires-in 3600 -o json | jq -r .token",
		Args:    line.Exactly("what the token is for"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			return c.RegistrationTokens.Create(ctx, map[string]any{"name": args[0], "uses": uses, "expires_in": seconds})
		}, func(cmd *cobra.Command, r *client.Row) error {
			fmt.Fprintln(cmd.ErrOrStderr(), "The token is shown this once and stored nowhere.")
			return kind.Show(cmd, r)
		})(cmd, args)
	}
	c.Flags().Int64Var(&uses, "uses", 1, "how many applications may be registered with it")
	c.Flags().Int64Var(&seconds, "expires-in", 86400, "seconds that it is good")
	return c
}

func deleteTokenCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "delete ID",
		Short:   "End an initial access token; applications registered with it stay",
		Example: "  quis registration token delete iat_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis registration token list",
		Args:    line.Exactly("the ID of an initial access token"),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := line.Connect(cmd)
			if err != nil {
				return err
			}
			ctx, cancel := line.Asking(cmd)
			defer cancel()
			if err := n.RegistrationTokens.Delete(ctx, args[0]); err != nil {
				return err
			}
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is ended.\n", args[0])
			return nil
		},
	})
}

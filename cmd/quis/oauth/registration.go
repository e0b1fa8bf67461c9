package oauth

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
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
	c.AddCommand(policyCommand(), setPolicyCommand(), tokenCommand())
	return c
}

func policyCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "get",
		Short:   "Show who may register an application, and what it may then do",
		Example: "  quis registration get\n  quis registration get -o json | jq .mode",
		Args:    line.None,
		RunE:    line.Answer((*client.Client).RegistrationPolicy, kind.Show),
	})
}

func setPolicyCommand() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use:   "set FIELD=VALUE…",
		Short: "Decide what applications may register by themselves; the rest stays",
		Long: "field=value replaces. Lists are written with commas, and field+=value and field-=value add to them and take\n" +
			"from them. --fields shows every field and what it means.",
		Example: "  quis registration set mode=open metadata_documents=true\n  quis registration set --fields",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) == 0 {
			return line.Usage(cmd, "%s wants field=value", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		const help = "quis registration set --fields"
		if fields {
			return line.Answer((*client.Client).RegistrationPolicyFields, func(cmd *cobra.Command, known map[string]client.Field) error {
				return assign.Form{Fields: known, Help: help}.Print(cmd)
			})(cmd, args)
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			known, err := c.RegistrationPolicyFields(ctx)
			if err != nil {
				return nil, err
			}
			now, err := c.RegistrationPolicy(ctx)
			if err != nil {
				return nil, err
			}
			set, err := assign.Form{Fields: known, Help: help}.Read(cmd, args, now.Fields)
			if err != nil {
				return nil, err
			}
			for name, v := range now.Fields { // the API replaces it as a whole
				if _, changed := set[name]; !changed {
					set[name] = v
				}
			}
			return c.SetRegistrationPolicy(ctx, set)
		}, kind.Show)(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
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

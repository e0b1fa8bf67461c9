// Package settings is `quis settings`: how people of the tenant sign in.
//
// What the fields mean is the server's to say; here they are read and printed.
package settings

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis settings`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "settings",
		Short:   "How people sign in: second factors, passwords, passkeys, sessions, recovery",
		Example: "  quis settings get\n  quis settings set mfa_policy=any password.min_length=12",
	}
	line.Group(c)
	c.AddCommand(getCommand(), setCommand(), loweringCommand())
	return c
}

func getCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "get",
		Short:   "Show how people sign in",
		Example: "  quis settings get\n  quis settings get -o json | jq .passkey",
		Args:    line.None,
		RunE:    line.Answer((*client.Client).Authentication, show),
	})
}

func setCommand() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use:   "set FIELD=VALUE…",
		Short: "Change how people sign in; the rest stays",
		Long: "field=value replaces. Lists are written with commas, and field+=value and field-=value add to them and take\n" +
			"from them. A part of a field is named with a dot. --fields shows every field and what it means.",
		Example: "  quis settings set mfa_policy=passkey passkey.forbid_synced=true\n  quis settings set --fields",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) == 0 {
			return line.Usage(cmd, "%s wants field=value", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if fields {
			return line.Answer((*client.Client).AuthenticationFields, func(cmd *cobra.Command, known map[string]client.Field) error {
				return form(known).Print(cmd)
			})(cmd, args)
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.AuthenticationSettings, error) {
			known, err := c.AuthenticationFields(ctx)
			if err != nil {
				return nil, err
			}
			now, err := c.Authentication(ctx)
			if err != nil {
				return nil, err
			}
			set, err := form(known).Read(cmd, args, now.Fields)
			if err != nil {
				return nil, err
			}
			return c.SetAuthentication(ctx, set, now.ETag)
		}, show)(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
	return c
}

func form(known map[string]client.Field) assign.Form {
	return assign.Form{Fields: known, Help: "quis settings set --fields"}
}

// show prints every field, those within others as field.part.
func show(cmd *cobra.Command, s *client.AuthenticationSettings) error {
	return line.Emit(cmd, s, nil, func(row func(...any)) { rows(row, "", s.Fields) })
}

func rows(row func(...any), prefix string, fields map[string]any) {
	for _, n := range slices.Sorted(maps.Keys(fields)) {
		if inner, ok := fields[n].(map[string]any); ok {
			rows(row, prefix+n+".", inner)
			continue
		}
		row(prefix+n, assign.Plain(fields[n]))
	}
}

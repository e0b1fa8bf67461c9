// Package group is `quis group`: groups, who is in them, and the second factor that their
// members need.
//
// A group is named by its name or ID, a user as in `quis user`.
package group

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/cmd/quis/user"
)

// Command is `quis group`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "group",
		Short:   "Groups of people, and the second factor that they need",
		Example: "  quis group create staff --mfa passkey\n  quis group add staff alice",
	}
	line.Group(c)
	c.AddCommand(listCommand(), getCommand(), createCommand(), setCommand(), deleteCommand(), membersCommand(), addCommand(), removeCommand())
	return c
}

const which = "the name or ID of a group"

var policies = []string{"inherit", "disabled", "any", "otp", "passkey", "device_bound"}

// find returns the group that a person means.
func find(ctx context.Context, c *client.Client, word string) (*client.Group, error) {
	for g, err := range client.All(ctx, client.List{Limit: 200, Consistent: true}, c.Groups.List) {
		if err != nil {
			return nil, err
		}
		if strings.EqualFold(g.Name, word) {
			return &g, nil
		}
	}
	if strings.HasPrefix(word, "grp_") {
		if g, err := c.Groups.Get(ctx, word); client.Status(err) != http.StatusNotFound {
			return g, err
		}
	}
	return nil, line.Exit{Code: line.NotFound, Text: fmt.Sprintf("there is no group %q", line.Plain(word))}
}

// look makes sure that a group is there, before a person is asked, who may take their time.
func look(cmd *cobra.Command, word string) error {
	_, err := line.Ask(cmd, func(c *client.Client, ctx context.Context) (*client.Group, error) { return find(ctx, c, word) })
	return err
}

func show(cmd *cobra.Command, g *client.Group) error {
	return line.Emit(cmd, g, nil, func(row func(...any)) {
		row("id", g.ID)
		row("name", g.Name)
		row("description", g.Description)
		row("mfa_policy", g.MFAPolicy)
	})
}

func listCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "list",
		Short:   "List the groups",
		Example: "  quis group list\n  quis group list -o json",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) ([]client.Group, error) {
			return client.Collect(ctx, client.List{Limit: 200}, c.Groups.List)
		}, func(cmd *cobra.Command, groups []client.Group) error {
			return line.Emit(cmd, groups, []string{"NAME", "MFA", "DESCRIPTION", "ID"}, func(row func(...any)) {
				for _, g := range groups {
					row(g.Name, g.MFAPolicy, g.Description, g.ID)
				}
			})
		}),
	})
}

func getCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "get GROUP",
		Short:   "Show a group, by name or ID",
		Example: "  quis group get staff\n  quis group get staff -o json",
		Args:    line.Exactly(which),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.Group, error) { return find(ctx, c, args[0]) }, show)(cmd, args)
		},
	})
}

// changing are the flags that say what a group is to be.
type changing struct{ name, description, mfa string }

func (f *changing) flags(c *cobra.Command) {
	c.Flags().StringVar(&f.description, "description", "", "for people")
	c.Flags().StringVar(&f.mfa, "mfa", "inherit", "second factor that members need at every sign-in: "+strings.Join(policies, ", "))
	line.Complete(c, "mfa", policies...)
}

// fields are those that were given.
func (f *changing) fields(cmd *cobra.Command) (client.GroupFields, error) {
	var out client.GroupFields
	if cmd.Flags().Changed("mfa") {
		if !slices.Contains(policies, f.mfa) {
			return out, line.Usage(cmd, "--mfa %q is none of %s", f.mfa, strings.Join(policies, ", "))
		}
		out.MFAPolicy = &f.mfa
	}
	if cmd.Flags().Changed("description") {
		out.Description = &f.description
	}
	if f.name != "" {
		out.Name = &f.name
	}
	return out, nil
}

func createCommand() *cobra.Command {
	var f changing
	c := line.Online(&cobra.Command{
		Use:     "create NAME",
		Short:   "Make a group",
		Example: "  quis group create staff\n  quis group create admins --mfa passkey",
		Args:    line.Exactly("the name of the group"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		f.name = args[0]
		fields, err := f.fields(cmd)
		if err != nil {
			return err
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Group, error) {
			return c.Groups.Create(ctx, fields)
		}, show)(cmd, args)
	}
	f.flags(c)
	return c
}

func setCommand() *cobra.Command {
	var f changing
	c := line.Online(&cobra.Command{
		Use:     "set GROUP",
		Short:   "Change what is said of a group; the rest stays",
		Long:    "Of what tenant, groups and application ask, the strictest second factor holds; `quis policy evaluate` says what that is.",
		Example: "  quis group set staff --mfa any\n  quis group set staff --name everybody --description 'All of us'",
		Args:    line.Exactly(which),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		fields, err := f.fields(cmd)
		if err != nil {
			return err
		}
		if fields == (client.GroupFields{}) {
			return line.Usage(cmd, "nothing is to be changed: give --mfa, --name or --description")
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Group, error) {
			g, err := find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Groups.Update(ctx, g.ID, fields, "")
		}, show)(cmd, args)
	}
	f.flags(c)
	c.Flags().StringVar(&f.name, "name", "", "another name")
	return c
}

func deleteCommand() *cobra.Command {
	var sure bool
	c := line.Online(&cobra.Command{
		Use:     "delete GROUP",
		Short:   "Delete a group; its members stay",
		Example: "  quis group delete staff\n  quis group delete staff --yes",
		Args:    line.Exactly(which),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := look(cmd, args[0]); err != nil {
			return err
		}
		if err := line.Confirm(cmd, args[0], sure, "What its members may by it, they may no longer."); err != nil {
			return err
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Group, error) {
			g, err := find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return g, c.Groups.Delete(ctx, g.ID)
		}, func(cmd *cobra.Command, g *client.Group) error {
			_, err := fmt.Fprintf(cmd.ErrOrStderr(), "%s is deleted.\n", line.Plain(g.Name))
			return err
		})(cmd, args)
	}
	line.SureFlag(c, &sure)
	return c
}

func membersCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "members GROUP",
		Short:   "List who is in a group",
		Example: "  quis group members staff\n  quis group members staff -o json",
		Args:    line.Exactly(which),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.User, error) {
				g, err := find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				members := func(ctx context.Context, l client.List) (*client.Page[client.User], error) {
					return c.Groups.Members(ctx, g.ID, l)
				}
				return client.Collect(ctx, client.List{Limit: 200, Consistent: true}, members)
			}, func(cmd *cobra.Command, users []client.User) error {
				return line.Emit(cmd, users, []string{"USERNAME", "EMAIL", "NAME", "ID"}, func(row func(...any)) {
					for _, u := range users {
						row(u.Username, u.Email, u.Name, u.ID)
					}
				})
			})(cmd, args)
		},
	})
}

func addCommand() *cobra.Command {
	return membership("add", "Put a user in a group", "%s is in %s.", client.Groups.AddMember)
}

func removeCommand() *cobra.Command {
	return membership("remove", "Take a user out of a group", "%s is not in %s any more.", client.Groups.RemoveMember)
}

// membership is a command that does one thing to a user and a group, and says it of both.
func membership(verb, short, said string, do func(client.Groups, context.Context, string, string) error) *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     verb + " GROUP USER",
		Short:   short,
		Example: "  quis group " + verb + " staff alice\n  quis group " + verb + " staff alice@example.com",
		Args:    line.Exactly(which, "the username, address or ID of a user"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (string, error) {
				g, err := find(ctx, c, args[0])
				if err != nil {
					return "", err
				}
				u, err := user.Find(ctx, c, args[1])
				if err != nil {
					return "", err
				}
				return fmt.Sprintf(said, line.Plain(u.Username), line.Plain(g.Name)), do(c.Groups, ctx, g.ID, u.ID)
			}, func(cmd *cobra.Command, done string) error {
				_, err := fmt.Fprintln(cmd.ErrOrStderr(), done)
				return err
			})(cmd, args)
		},
	})
}

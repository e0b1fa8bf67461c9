package app

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func accessCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "access",
		Short:   "Who may use an application that is restricted",
		Long:    "Grants count once access_restricted is true: `quis app set APP access_restricted=true`.",
		Example: "  quis app access list wiki\n  quis app access grant wiki --group editors",
	}
	line.Group(c)
	c.AddCommand(line.Online(&cobra.Command{
		Use:               "list APP",
		Short:             "List the users and groups that were granted access",
		Example:           "  quis app access list wiki\n  quis app access list wiki -o json",
		Args:              line.Exactly("the client_id, name or ID of an application"),
		ValidArgsFunction: complete,
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.AccessRule, error) {
				a, err := Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				if a.AccessRestricted == nil || !*a.AccessRestricted {
					fmt.Fprintf(cmd.ErrOrStderr(), "%s is open to everybody: access_restricted is false.\n", text(a.Name))
				}
				return c.Applications.Access(ctx, a.ID)
			}, func(cmd *cobra.Command, rules []client.AccessRule) error {
				return line.Emit(cmd, rules, []string{"KIND", "ID"}, func(row func(...any)) {
					for _, r := range rules {
						row(r.Kind, r.ID)
					}
				})
			})(cmd, args)
		},
	}), grantCommand("grant", "Let users or groups use an application", client.Applications.Grant),
		grantCommand("revoke", "Take grants back", client.Applications.Revoke))
	return c
}

func grantCommand(verb, short string, do func(client.Applications, context.Context, string, client.AccessRule) error) *cobra.Command {
	var users, groups []string
	c := line.Online(&cobra.Command{
		Use:               verb + " APP",
		Short:             short,
		Example:           "  quis app access " + verb + " wiki --group editors\n  quis app access " + verb + " wiki --user ada --user grace",
		Args:              line.Exactly("the client_id, name or ID of an application"),
		ValidArgsFunction: complete,
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if len(users)+len(groups) == 0 {
			return line.Usage(cmd, "name whom by --user or --group")
		}
		n, err := line.Connect(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := line.Asking(cmd)
		defer cancel()
		a, err := Find(ctx, n, args[0])
		if err != nil {
			return err
		}
		var rules []client.AccessRule
		for _, name := range users {
			id, err := userID(ctx, n, name)
			if err != nil {
				return err
			}
			rules = append(rules, client.AccessRule{Kind: "user", ID: id})
		}
		for _, name := range groups {
			id, err := groupID(ctx, n, name)
			if err != nil {
				return err
			}
			rules = append(rules, client.AccessRule{Kind: "group", ID: id})
		}
		for _, r := range rules {
			if err := do(n.Applications, ctx, a.ID, r); err != nil {
				return err
			}
		}
		return nil
	}
	c.Flags().StringSliceVar(&users, "user", nil, "username, address or ID")
	c.Flags().StringSliceVar(&groups, "group", nil, "name or ID")
	return c
}

// userID finds a user by what a person calls them.
func userID(ctx context.Context, c *client.Client, name string) (string, error) {
	if strings.HasPrefix(name, "usr_") {
		return name, nil
	}
	for u, err := range client.All(ctx, client.List{Limit: 200}, c.Users.List) {
		if err != nil {
			return "", err
		}
		if strings.EqualFold(u.Username, name) || strings.EqualFold(u.Email, name) {
			return u.ID, nil
		}
	}
	return "", line.Exit{Code: 3, Text: fmt.Sprintf("there is no user %q", name)}
}

func groupID(ctx context.Context, c *client.Client, name string) (string, error) {
	if strings.HasPrefix(name, "grp_") {
		return name, nil
	}
	var known []string
	for g, err := range client.All(ctx, client.List{Limit: 200}, c.Groups.List) {
		if err != nil {
			return "", err
		}
		if strings.EqualFold(g.Name, name) {
			return g.ID, nil
		}
		known = append(known, g.Name)
	}
	return "", line.Exit{Code: 3, Text: fmt.Sprintf("there is no group %q%s", name, assign.Near(name, known))}
}

func simulateCommand() *cobra.Command {
	var user string
	var scopes []string
	c := line.Online(&cobra.Command{
		Use:               "simulate APP",
		Short:             "Show what tokens of a user would say, without issuing any",
		Example:           "  quis app simulate wiki --user ada\n  quis app simulate wiki --user ada --scope openid --scope groups -o json",
		Args:              line.Exactly("the client_id, name or ID of an application"),
		ValidArgsFunction: complete,
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if user == "" {
			return line.Usage(cmd, "name the user by --user")
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Simulation, error) {
			a, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			id, err := userID(ctx, c, user)
			if err != nil {
				return nil, err
			}
			if len(scopes) == 0 {
				scopes = a.AllowedScopes
			}
			return c.Applications.Simulate(ctx, a.ID, id, scopes)
		}, printSimulation)(cmd, args)
	}
	c.Flags().StringVar(&user, "user", "", "username, address or ID")
	c.Flags().StringSliceVar(&scopes, "scope", nil, "scopes to ask for (default: all that the application may)")
	return c
}

// claim is the value of a claim: a text as it is, anything else as it stands in the token.
func claim(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64:
		return assign.Plain(v)
	}
	return assign.Compact(v)
}

func printSimulation(cmd *cobra.Command, s *client.Simulation) error {
	from := map[string]string{}
	for _, c := range s.Sources {
		from[c.In+" "+c.Claim] = strings.TrimSpace(c.From + " " + c.Scope)
	}
	err := line.Emit(cmd, s.More, []string{"IN", "CLAIM", "VALUE", "FROM"}, func(row func(...any)) {
		for _, t := range []struct {
			name   string
			claims map[string]any
		}{{"access_token", s.AccessClaims}, {"id_token", s.IDClaims}, {"userinfo", s.UserinfoClaims}} {
			for _, n := range slices.Sorted(maps.Keys(t.claims)) {
				row(t.name, n, claim(t.claims[n]), from[t.name+" "+n])
			}
		}
	})
	if err != nil {
		return err
	}
	w := cmd.ErrOrStderr()
	if !s.HasAccess {
		fmt.Fprintln(w, "This user could not sign in to the application: "+s.DeniedBecause)
	}
	for _, m := range s.Mappings {
		if m.Outcome != "claim" {
			fmt.Fprintf(w, "claim_mappings/%d makes no %s: %s\n", m.Mapping, line.Plain(m.Claim), line.Plain(m.Outcome))
		}
	}
	if len(s.RefusedScopes) > 0 {
		fmt.Fprintf(w, "The application may not ask for %s; a real request that does fails.\n", strings.Join(s.RefusedScopes, ", "))
	}
	if s.ScriptError != "" {
		fmt.Fprintln(w, "No token would be issued: "+s.ScriptError)
	}
	return nil
}

func deliveriesCommand() *cobra.Command {
	var retry string
	c := line.Online(&cobra.Command{
		Use:               "deliveries APP",
		Short:             "List the logout tokens of the last week for an application, newest first",
		Long:              "An application with a backchannel_logout_uri is told when somebody signs out, again and again for six hours.",
		Example:           "  quis app deliveries wiki\n  quis app deliveries wiki --retry lgo_01k9s3f7m2q8z5x1w4v6t0b3nd",
		Args:              line.Exactly("the client_id, name or ID of an application"),
		ValidArgsFunction: complete,
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) ([]client.LogoutDelivery, error) {
			a, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			if retry != "" {
				d, err := c.Applications.RetryLogoutDelivery(ctx, a.ID, retry)
				if err != nil {
					return nil, err
				}
				return []client.LogoutDelivery{*d}, nil
			}
			p, err := c.Applications.LogoutDeliveries(ctx, a.ID, client.List{})
			if err != nil {
				return nil, err
			}
			return p.Data, nil
		}, func(cmd *cobra.Command, rows []client.LogoutDelivery) error {
			return line.Emit(cmd, rows, []string{"DELIVERY", "MADE", "STATE", "ATTEMPTS", "STATUS"}, func(row func(...any)) {
				for _, d := range rows {
					row(d.ID, d.CreatedAt.Local().Format(time.DateTime), d.State, d.Attempts, d.Status)
				}
			})
		})(cmd, args)
	}
	c.Flags().StringVar(&retry, "retry", "", "have this one sent again, now")
	return c
}

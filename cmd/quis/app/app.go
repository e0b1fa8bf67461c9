package app

import (
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis app`. test runs a sign-in for the application named by its argument.
func Command(test *cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use:     "app",
		Short:   "The applications that people sign in to",
		Example: "  quis app create wiki redirect_uris=http://localhost:9999/callback\n  quis app test wiki --register",
	}
	line.Group(c)
	c.AddCommand(listCommand(), getCommand(), createCommand(), setCommand(), deleteCommand(), secretCommand(), accessCommand(), simulateCommand(), deliveriesCommand(), test)
	return c
}

func listCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "list",
		Short:   "List the applications, oldest first",
		Example: "  quis app list\n  quis app list -o json | jq -r '.[].client_id'",
		Args:    line.None,
		RunE: line.Answer(all, func(cmd *cobra.Command, apps []client.Application) error {
			return line.Emit(cmd, apps, []string{"CLIENT ID", "NAME", "TYPE", "GRANTS", "LAST USED"}, func(row func(...any)) {
				for _, a := range apps {
					row(a.ClientID, text(a.Name), text(a.Type), grants(a.GrantTypes), ago(a.More["last_used"]))
				}
			})
		}),
	})
}

func getCommand() *cobra.Command {
	var empty bool
	c := line.Online(&cobra.Command{
		Use:     "get APP",
		Short:   "Show an application, by client_id, name or ID",
		Example: "  quis app get wiki\n  quis app get wiki -o json",
		Args:    line.Exactly("the client_id, name or ID of an application"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Application, error) {
			return Find(ctx, c, args[0])
		}, func(cmd *cobra.Command, a *client.Application) error { return show(cmd, a, empty) })(cmd, args)
	}
	c.Flags().BoolVarP(&empty, "all", "a", false, "also show the fields that are empty")
	c.ValidArgsFunction = complete
	return c
}

func all(c *client.Client, ctx context.Context) ([]client.Application, error) {
	return client.Collect(ctx, client.List{Limit: 200}, c.Applications.List)
}

// Find returns the application that a person means: its ID, its client_id, or its name if
// only one has it.
func Find(ctx context.Context, c *client.Client, word string) (*client.Application, error) {
	apps, err := all(c, ctx)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, a := range apps {
		if a.ID == word || a.ClientID == word {
			return c.Applications.Get(ctx, a.ID)
		}
		known = append(known, text(a.Name), a.ClientID)
	}
	switch named := called(apps, word); len(named) {
	case 1:
		return c.Applications.Get(ctx, named[0].ID)
	case 0:
		return nil, line.Exit{Code: 3, Text: fmt.Sprintf("there is no application %q%s (`quis app list` shows them)", word, assign.Near(word, known))}
	default:
		var ids []string
		for _, a := range named {
			ids = append(ids, a.ClientID)
		}
		return nil, line.Exit{Code: line.Conflict, Text: fmt.Sprintf("%d applications are called %q; name one by its client_id, oldest first: %s (`quis app get CLIENT_ID` shows it)", len(ids), word, strings.Join(ids, ", "))}
	}
}

// called are those that a person calls so.
func called(apps []client.Application, word string) (named []client.Application) {
	for _, a := range apps {
		if strings.EqualFold(text(a.Name), word) || strings.EqualFold(text(a.FriendlyName), word) {
			named = append(named, a)
		}
	}
	return named
}

// show prints the fields of an application, the identifying ones first, and on standard
// error what is probably a mistake.
func show(cmd *cobra.Command, a *client.Application, empty bool) error {
	warnings, _ := a.More["warnings"].([]any)
	for _, w := range warnings {
		fmt.Fprintln(cmd.ErrOrStderr(), "Warning: "+line.Plain(assign.Plain(w)))
	}
	return line.Emit(cmd, a, nil, func(row func(...any)) {
		first := []string{"id", "client_id", "client_secret", "name", "type"}
		names := make([]string, 0, len(a.More))
		for n := range a.More {
			if n != "warnings" { // said above
				names = append(names, n)
			}
		}
		sort.Slice(names, func(i, j int) bool { return rank(first, names[i]) < rank(first, names[j]) })
		for _, n := range names {
			if v := assign.Plain(a.More[n]); v != "" && v != "no" || empty {
				row(n, v)
			}
		}
	})
}

func rank(first []string, name string) string {
	for i, f := range first {
		if f == name {
			return string(rune('0' + i))
		}
	}
	return "z" + name
}

// grants shortens the names of grant types, which are URNs in part.
func grants(list []string) string {
	short := make([]string, len(list))
	for i, g := range list {
		short[i] = g[strings.LastIndexByte(g, ':')+1:]
	}
	return strings.Join(short, " ")
}

// ago is how long a time of the API is past.
func ago(v any) string {
	s, _ := v.(string)
	t, err := time.Parse(time.RFC3339, s)
	if err != nil || t.IsZero() {
		return ""
	}
	switch d := time.Since(t); {
	case d < 2*time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	default:
		return fmt.Sprintf("%d days ago", int(d.Hours()/24))
	}
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// complete offers the client_ids to the shells.
func complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	c, err := line.Connect(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := line.Asking(cmd)
	defer cancel()
	apps, err := all(c, ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, a := range apps {
		names = append(names, a.ClientID+"\t"+text(a.Name))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// Package kind is the commands that are alike for all kinds of resources: list, get, create, set
// and delete.
//
// What the fields mean is the server's to say; here they are read and printed.
package kind

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// A Kind is one kind of resource.
type Kind struct {
	Word, What string // "scope", "the name of a scope"
	Noun       string // what it is called; "": Word
	First      string // field that the first argument of create is
	Key        string // field that the API names one by
	Columns    []string
	Rows       func(*client.Client) client.Rows
	Examples   map[string]string // by command
	Warning    string            // before one is deleted
}

func (k Kind) noun() string { return cmp.Or(k.Noun, k.Word) }

// Commands are all of them.
func (k Kind) Commands() []*cobra.Command {
	return []*cobra.Command{k.List(), k.get(), k.create(), k.set(), k.delete()}
}

func (k Kind) all(c *client.Client, ctx context.Context) ([]client.Row, error) {
	return client.Collect(ctx, client.List{}, k.Rows(c).List)
}

// Find returns the one that a person means: by its key, or by the field that it is made with.
func (k Kind) Find(ctx context.Context, c *client.Client, word string) (*client.Row, error) {
	if k.Key == k.First {
		return k.Rows(c).Get(ctx, word)
	}
	all, err := k.all(c, ctx)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, r := range all {
		if word == r.Text(k.Key) || word == r.Text(k.First) {
			return k.Rows(c).Get(ctx, r.Text(k.Key))
		}
		known = append(known, r.Text(k.First))
	}
	return nil, line.Exit{Code: 3, Text: fmt.Sprintf("there is no %s %q%s (`quis %s list` shows them)", k.noun(), word, assign.Near(word, known), k.Word)}
}

// List is the command list.
func (k Kind) List() *cobra.Command {
	return line.Online(&cobra.Command{
		Use: "list", Short: "List every " + k.noun(), Example: k.Examples["list"], Args: line.None,
		RunE: line.Answer(k.all, func(cmd *cobra.Command, all []client.Row) error { return table(cmd, all, k.Columns) }),
	})
}

// table prints rows with a column for each field.
func table(cmd *cobra.Command, all []client.Row, columns []string) error {
	header := make([]string, len(columns))
	for i, f := range columns {
		header[i] = strings.ToUpper(strings.ReplaceAll(f, "_", " "))
	}
	return line.Emit(cmd, all, header, func(row func(...any)) {
		for _, r := range all {
			cells := make([]any, len(columns))
			for i, f := range columns {
				cells[i] = assign.Plain(r.Fields[f])
			}
			row(cells...)
		}
	})
}

func (k Kind) get() *cobra.Command {
	c := line.Online(&cobra.Command{
		Use: "get " + strings.ToUpper(k.noun()), Short: "Show one " + k.noun(), Example: k.Examples["get"], Args: line.Exactly(k.What),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			return k.Find(ctx, c, args[0])
		}, Show)(cmd, args)
	}
	c.ValidArgsFunction = k.complete
	return c
}

// Show prints the fields of one resource.
func Show(cmd *cobra.Command, r *client.Row) error {
	return line.Emit(cmd, r, nil, func(row func(...any)) {
		for _, n := range slices.Sorted(maps.Keys(r.Fields)) {
			row(n, assign.Plain(r.Fields[n]))
		}
	})
}

func (k Kind) form(ctx context.Context, c *client.Client) (assign.Form, error) {
	fields, err := k.Rows(c).Fields(ctx)
	return assign.Form{Fields: fields, Help: "quis " + k.Word + " set --fields"}, err
}

func (k Kind) create() *cobra.Command {
	c := line.Online(&cobra.Command{
		Use: "create " + strings.ToUpper(k.First) + " [FIELD=VALUE…]", Short: "Register " + article(k.noun()),
		Long:    "Lists are written with commas, texts by language as JSON. `quis " + k.Word + " set --fields` shows every field.",
		Example: k.Examples["create"],
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return line.Usage(cmd, "%s wants the %s", cmd.CommandPath(), k.First)
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			f, err := k.form(ctx, c)
			if err != nil {
				return nil, err
			}
			set, err := f.Read(cmd, args[1:], nil)
			if err != nil {
				return nil, err
			}
			set[k.First] = args[0]
			return k.Rows(c).Create(ctx, set)
		}, Show)(cmd, args)
	}
	return c
}

func (k Kind) set() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use: "set " + strings.ToUpper(k.noun()) + " FIELD=VALUE…", Short: "Change fields of " + article(k.noun()) + "; the rest stays",
		Long: "field=value replaces. Lists are written with commas, and field+=value and field-=value add to them and take\n" +
			"from them. --fields shows every field and what it means.",
		Example: k.Examples["set"],
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) < 2 {
			return line.Usage(cmd, "%s wants %s and field=value", cmd.CommandPath(), k.What)
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if fields {
			return line.Answer(func(c *client.Client, ctx context.Context) (assign.Form, error) {
				return k.form(ctx, c)
			}, func(cmd *cobra.Command, f assign.Form) error { return f.Print(cmd) })(cmd, args)
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			f, err := k.form(ctx, c)
			if err != nil {
				return nil, err
			}
			if _, err := f.Read(cmd, args[1:], nil); err != nil {
				return nil, err // a mistake in the command line, before anything is asked
			}
			r, err := k.Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			set, err := f.Read(cmd, args[1:], r.Fields)
			if err != nil {
				return nil, err
			}
			return k.Rows(c).Update(ctx, r.Text(k.Key), set, r.ETag)
		}, Show)(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
	c.ValidArgsFunction = k.complete
	return c
}

func (k Kind) delete() *cobra.Command {
	var sure bool
	c := line.Online(&cobra.Command{
		Use: "delete " + strings.ToUpper(k.noun()), Short: "Delete " + article(k.noun()), Example: k.Examples["delete"], Args: line.Exactly(k.What),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := line.Connect(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := line.Asking(cmd)
		defer cancel()
		r, err := k.Find(ctx, n, args[0])
		if err != nil {
			return err
		}
		if err := line.Confirm(cmd, r.Text(k.First), sure, k.Warning); err != nil {
			return err
		}
		doing, cancel := line.Asking(cmd) // whoever was asked may have taken their time
		defer cancel()
		if err := k.Rows(n).Delete(doing, r.Text(k.Key)); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is deleted.\n", r.Text(k.First))
		return nil
	}
	line.SureFlag(c, &sure)
	c.ValidArgsFunction = k.complete
	return c
}

// article puts a or an before a noun.
func article(noun string) string {
	if strings.ContainsRune("aeiou", rune(noun[0])) {
		return "an " + noun
	}
	return "a " + noun
}

// complete proposes those that there are to the shells.
func (k Kind) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	n, err := line.Connect(cmd)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx, cancel := line.Asking(cmd)
	defer cancel()
	all, err := k.all(n, ctx)
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var words []string
	for _, r := range all {
		words = append(words, r.Text(k.First))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

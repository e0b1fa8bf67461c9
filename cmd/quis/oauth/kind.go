package oauth

import (
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

// A kind is one kind of resource with the commands list, get, create, set and delete.
type kind struct {
	word, what string // "scope", "the name of a scope"
	first      string // field that the first argument of create is
	key        string // field that the API names one by
	columns    []string
	rows       func(*client.Client) client.Rows
	examples   map[string]string // by command
	warning    string            // before one is deleted
}

func (k kind) commands() []*cobra.Command {
	return []*cobra.Command{k.list(), k.get(), k.create(), k.set(), k.delete()}
}

func (k kind) all(c *client.Client, ctx context.Context) ([]client.Row, error) {
	rows := []client.Row{}
	for r, err := range client.All(ctx, client.List{}, k.rows(c).List) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, nil
}

// find returns the one that a person means: by its key, or by the field that it is made with.
func (k kind) find(ctx context.Context, c *client.Client, word string) (*client.Row, error) {
	if k.key == k.first {
		return k.rows(c).Get(ctx, word)
	}
	all, err := k.all(c, ctx)
	if err != nil {
		return nil, err
	}
	var known []string
	for _, r := range all {
		if word == r.Text(k.key) || word == r.Text(k.first) {
			return k.rows(c).Get(ctx, r.Text(k.key))
		}
		known = append(known, r.Text(k.first))
	}
	return nil, line.Exit{Code: 3, Text: fmt.Sprintf("there is no %s %q%s (`quis %s list` shows them)", k.word, word, assign.Near(word, known), k.word)}
}

func (k kind) list() *cobra.Command {
	return line.Online(&cobra.Command{
		Use: "list", Short: "List every " + k.word, Example: k.examples["list"], Args: line.None,
		RunE: line.Answer(k.all, func(cmd *cobra.Command, all []client.Row) error { return table(cmd, all, k.columns) }),
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

func (k kind) get() *cobra.Command {
	c := line.Online(&cobra.Command{
		Use: "get " + strings.ToUpper(k.word), Short: "Show one " + k.word, Example: k.examples["get"], Args: line.Exactly(k.what),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			return k.find(ctx, c, args[0])
		}, show)(cmd, args)
	}
	c.ValidArgsFunction = k.complete
	return c
}

// show prints the fields of one resource.
func show(cmd *cobra.Command, r *client.Row) error {
	return line.Emit(cmd, r, nil, func(row func(...any)) {
		for _, n := range slices.Sorted(maps.Keys(r.Fields)) {
			row(n, assign.Plain(r.Fields[n]))
		}
	})
}

// form is what can be assigned to one; help shows it.
func form(fields map[string]client.Field, help string) assign.Form {
	return assign.Form{Fields: fields, Help: help}
}

func (k kind) form(ctx context.Context, c *client.Client) (assign.Form, error) {
	fields, err := k.rows(c).Fields(ctx)
	return form(fields, "quis "+k.word+" set --fields"), err
}

func (k kind) create() *cobra.Command {
	c := line.Online(&cobra.Command{
		Use: "create " + strings.ToUpper(k.first) + " [FIELD=VALUE…]", Short: "Register a " + k.word,
		Long:    "Lists are written with commas, texts by language as JSON. `quis " + k.word + " set --fields` shows every field.",
		Example: k.examples["create"],
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return line.Usage(cmd, "%s wants the %s", cmd.CommandPath(), k.first)
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
			set[k.first] = args[0]
			return k.rows(c).Create(ctx, set)
		}, show)(cmd, args)
	}
	return c
}

func (k kind) set() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use: "set " + strings.ToUpper(k.word) + " FIELD=VALUE…", Short: "Change fields of a " + k.word + "; the rest stays",
		Long: "field=value replaces. Lists are written with commas, and field+=value and field-=value add to them and take\n" +
			"from them. --fields shows every field and what it means.",
		Example: k.examples["set"],
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) < 2 {
			return line.Usage(cmd, "%s wants %s and field=value", cmd.CommandPath(), k.what)
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
			r, err := k.find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			set, err := f.Read(cmd, args[1:], r.Fields)
			if err != nil {
				return nil, err
			}
			return k.rows(c).Update(ctx, r.Text(k.key), set, r.ETag)
		}, show)(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
	c.ValidArgsFunction = k.complete
	return c
}

func (k kind) delete() *cobra.Command {
	var sure bool
	c := line.Online(&cobra.Command{
		Use: "delete " + strings.ToUpper(k.word), Short: "Delete a " + k.word, Example: k.examples["delete"], Args: line.Exactly(k.what),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := line.Connect(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := line.Asking(cmd)
		defer cancel()
		r, err := k.find(ctx, n, args[0])
		if err != nil {
			return err
		}
		if err := line.Confirm(cmd, r.Text(k.first), sure, k.warning); err != nil {
			return err
		}
		if err := k.rows(n).Delete(ctx, r.Text(k.key)); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is deleted.\n", r.Text(k.first))
		return nil
	}
	line.SureFlag(c, &sure)
	c.ValidArgsFunction = k.complete
	return c
}

// complete proposes those that there are to the shells.
func (k kind) complete(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
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
		words = append(words, r.Text(k.first))
	}
	return words, cobra.ShellCompDirectiveNoFileComp
}

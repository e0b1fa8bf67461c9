package kind

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

// A Single is a resource of which there is one.
type Single struct {
	Word     string // of its command: "settings"
	Get, Set string // short descriptions
	Long     string // what is to be known of set besides; it begins with a space or is empty
	Examples map[string]string

	Row    func(*client.Client, context.Context) (*client.Row, error)
	Fields func(*client.Client, context.Context) (map[string]client.Field, error)
	// Put changes now by what is set.
	Put  func(c *client.Client, ctx context.Context, now *client.Row, set map[string]any) (*client.Row, error)
	Show func(*cobra.Command, *client.Row) error
}

// Commands are get and set.
func (s Single) Commands() []*cobra.Command {
	get := line.Online(&cobra.Command{
		Use: "get", Short: s.Get, Example: s.Examples["get"], Args: line.None,
		RunE: line.Answer(s.Row, func(cmd *cobra.Command, now *client.Row) error { return warn(cmd, now, nil, s.Show(cmd, now)) }),
	})
	return []*cobra.Command{get, s.set()}
}

func (s Single) set() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use: "set FIELD=VALUE…", Short: s.Set, Example: s.Examples["set"],
		Long: "field=value replaces. Lists are written with commas, and field+=value and field-=value add to them and take\n" +
			"from them." + s.Long + " --fields shows every field and what it means.\nWhat has changed is printed; as JSON, everything.",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) == 0 {
			return line.Usage(cmd, "%s wants field=value", cmd.CommandPath())
		}
		return nil
	}
	form := func(known map[string]client.Field) assign.Form {
		delete(known, warnings)
		return assign.Form{Fields: known, Help: "quis " + s.Word + " set --fields"}
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var before *client.Row
		var set map[string]any
		if fields {
			return line.Answer(s.Fields, func(cmd *cobra.Command, known map[string]client.Field) error { return form(known).Print(cmd) })(cmd, args)
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
			known, err := s.Fields(c, ctx)
			if err != nil {
				return nil, err
			}
			if before, err = s.Row(c, ctx); err != nil {
				return nil, err
			}
			if set, err = form(known).Read(cmd, args, before.Fields); err != nil {
				return nil, err
			}
			return s.Put(c, ctx, before, set)
		}, func(cmd *cobra.Command, after *client.Row) error {
			return warn(cmd, after, set, showChange(cmd, before, after))
		})(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
	return c
}

// warnings is the field that says what is decided and does not happen. Nobody sets it.
const warnings = "warnings"

// warn says on standard error what r warns of, unless r could not be shown, and after a change of what is
// set only what concerns that: a warning begins with its field. JSON has all in its place.
func warn(cmd *cobra.Command, r *client.Row, set map[string]any, err error) error {
	if json, _ := line.AsJSON(cmd); json || err != nil {
		return err
	}
	all, _ := r.Fields[warnings].([]any)
	for _, w := range all {
		about, _, _ := strings.Cut(fmt.Sprint(w), " ")
		field, _, _ := strings.Cut(about, ".")
		_, known := r.Fields[field]
		if _, changed := set[field]; set != nil && known && !changed {
			continue
		}
		if _, err := fmt.Fprintln(cmd.ErrOrStderr(), "Warning: "+line.Plain(fmt.Sprint(w))); err != nil {
			return err
		}
	}
	return nil
}

// showChange prints what has changed; as JSON, how everything is now.
func showChange(cmd *cobra.Command, before, after *client.Row) error {
	json, err := line.AsJSON(cmd)
	if err != nil {
		return err
	}
	was, is := Flat(before.Fields), Flat(after.Fields)
	if !json && maps.Equal(was, is) {
		_, err := fmt.Fprintln(cmd.ErrOrStderr(), "Nothing was changed: it is so already.")
		return err
	}
	return line.Emit(cmd, after, []string{"FIELD", "WAS", "IS"}, func(row func(...any)) {
		for _, n := range slices.Sorted(maps.Keys(is)) {
			if was[n] != is[n] {
				row(n, was[n], is[n])
			}
		}
	})
}

// Flat is fields as a person reads them, those within others as field.part, without warnings.
func Flat(fields map[string]any) map[string]string {
	out := map[string]string{}
	for n, v := range fields {
		if n == warnings {
			continue
		}
		if inner, ok := v.(map[string]any); ok {
			for part, text := range Flat(inner) {
				out[n+"."+part] = text
			}
			continue
		}
		out[n] = assign.Plain(v)
	}
	return out
}

// Package assign reads what commands that change a resource are given: field=value, as the
// server describes the fields, and parts of a field as field.part=value.
//
// Mistakes are usage errors that name the field which was perhaps meant.
package assign

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/admin/shape"
	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

const maxFile = 1 << 20

// A Form is what can be assigned.
type Form struct {
	Fields map[string]client.Field
	Help   string // command line that shows them
	// Short are values with short names: by field, then by short name.
	Short map[string]map[string]string
}

// Read turns field=value, field+=value and field-=value into the fields of a request.
// now are the values as they are; nil for something new.
func (form Form) Read(cmd *cobra.Command, args []string, now map[string]any) (map[string]any, error) {
	out := map[string]any{}
	for _, arg := range args {
		name, value, ok := strings.Cut(arg, "=")
		if !ok {
			return nil, line.Usage(cmd, "%q is no assignment: write field=value, or field+=value and field-=value for lists", arg)
		}
		op := byte('=')
		if n := len(name); n > 0 && (name[n-1] == '+' || name[n-1] == '-') {
			op, name = name[n-1], name[:n-1]
		}
		f, ok := form.Fields[name]
		if !ok {
			hint := Near(name, slices.Collect(maps.Keys(form.Fields)))
			if hint == "" {
				hint = "; `" + form.Help + "` shows those that there are"
			}
			return nil, line.Usage(cmd, "there is no field %q%s", name, hint)
		}
		v, err := form.parse(name, value, f)
		if err != nil {
			return nil, line.Usage(cmd, "%s: %v", name, err)
		}
		if op != '=' {
			if f.Type != "array" {
				return nil, line.Usage(cmd, "%s is no list: %s%c= does not fit it", name, name, op)
			}
			before, _ := at(now, name)
			if already, ok := at(out, name); ok {
				before = already
			}
			v = amend(before, v, op == '+')
		}
		put(out, name, v)
	}
	return out, nil
}

// at finds a field or a part of one.
func at(m map[string]any, name string) (any, bool) {
	field, part, nested := strings.Cut(name, ".")
	v, ok := m[field]
	if !nested {
		return v, ok
	}
	inner, _ := v.(map[string]any)
	return at(inner, part)
}

func put(m map[string]any, name string, v any) {
	field, part, nested := strings.Cut(name, ".")
	if !nested {
		m[field] = v
		return
	}
	inner, ok := m[field].(map[string]any)
	if !ok {
		inner = map[string]any{}
		m[field] = inner
	}
	put(inner, part, v)
}

// parse reads a value as the field wants it. @file stands for what is in the file.
func (form Form) parse(name, value string, f client.Field) (any, error) {
	if file, ok := strings.CutPrefix(value, "@"); ok {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if len(b) > maxFile {
			return nil, fmt.Errorf("%s is too large", file)
		}
		value = strings.TrimSpace(string(b))
	}
	switch f.Type {
	case "boolean":
		switch strings.ToLower(value) {
		case "true", "yes", "on":
			return true, nil
		case "false", "no", "off":
			return false, nil
		}
		return nil, fmt.Errorf("%q is neither true nor false", value)
	case "integer":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%q is no whole number", value)
		}
		return n, nil
	case "array":
		list, err := parseList(value)
		for i, v := range list {
			if s, ok := v.(string); ok && form.Short[name][s] != "" {
				list[i] = form.Short[name][s]
			}
		}
		return list, err
	case "string":
		if len(f.Enum) > 0 && !slices.Contains(f.Enum, value) {
			return nil, fmt.Errorf("%q is none of %s%s", value, strings.Join(slices.DeleteFunc(slices.Clone(f.Enum), func(s string) bool { return s == "" }), ", "), Near(value, f.Enum))
		}
		return value, nil
	}
	var v any
	if err := json.Unmarshal([]byte(value), &v); err != nil {
		return nil, fmt.Errorf("wants JSON, as in %s='{…}' or %s=@file: %w", name, name, err)
	}
	return v, nil
}

// parseList takes a JSON array, or words with commas between them.
func parseList(value string) ([]any, error) {
	list := []any{}
	if strings.HasPrefix(value, "[") {
		if err := json.Unmarshal([]byte(value), &list); err != nil {
			return nil, fmt.Errorf("begins like a JSON array and is none: %w", err)
		}
		return list, nil
	}
	if strings.HasPrefix(value, "{") {
		var one any
		if err := json.Unmarshal([]byte(value), &one); err != nil {
			return nil, fmt.Errorf("begins like a JSON object and is none: %w", err)
		}
		return append(list, one), nil
	}
	for w := range strings.SplitSeq(value, ",") {
		if w = strings.TrimSpace(w); w != "" {
			list = append(list, w)
		}
	}
	return list, nil
}

// amend adds values to a list, or takes them out.
func amend(before, change any, add bool) any {
	list, _ := before.([]any)
	list = slices.Clone(list)
	values, _ := change.([]any)
	for _, v := range values {
		same := func(e any) bool { return Compact(e) == Compact(v) }
		switch {
		case !add:
			list = slices.DeleteFunc(list, same)
		case !slices.ContainsFunc(list, same):
			list = append(list, v)
		}
	}
	return list
}

// Compact is v as JSON.
func Compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// Near proposes one of names for a word that is none of them; empty if none is like it.
func Near(word string, names []string) string {
	slices.Sort(names)
	return shape.DidYouMean(word, names)
}

// Print lists the fields with what they mean.
func (form Form) Print(cmd *cobra.Command) error {
	return line.Emit(cmd, form.Fields, []string{"FIELD", "TYPE", "MEANING"}, func(row func(...any)) {
		for _, n := range slices.Sorted(maps.Keys(form.Fields)) {
			f := form.Fields[n]
			kind, meaning := f.Type, f.Description
			switch {
			case kind == "array":
				kind = "list"
			case len(f.Enum) > 0: // too long for a column of their own
				meaning += " One of " + strings.Join(slices.DeleteFunc(slices.Clone(f.Enum), func(s string) bool { return s == "" }), ", ") + "."
			}
			if short := form.Short[n]; len(short) > 0 {
				meaning += " Short names will do: " + strings.Join(slices.Sorted(maps.Keys(short)), ", ") + "."
			}
			row(n, kind, meaning)
		}
	})
}

// Plain is a JSON value for a person.
func Plain(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return line.Yes(v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			parts[i] = Plain(e)
		}
		return strings.Join(parts, " ")
	case map[string]any:
		if len(v) == 0 {
			return ""
		}
		return Compact(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return Compact(v)
}

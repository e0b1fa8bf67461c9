package app

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

// urns are the grant types with long names, by the short ones that `quis app list` shows.
var urns = map[string]string{
	"device_code":    "urn:ietf:params:oauth:grant-type:device_code",
	"token-exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
	"jwt-bearer":     "urn:ietf:params:oauth:grant-type:jwt-bearer",
	"ciba":           "urn:openid:params:grant-type:ciba",
}

// assignments turns field=value, field+=value and field-=value into the fields of a
// request. now are the values as they are; nil for a new application.
func assignments(cmd *cobra.Command, args []string, fields map[string]client.Field, now map[string]any) (map[string]any, error) {
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
		f, ok := fields[name]
		if !ok {
			hint := near(name, slices.Collect(maps.Keys(fields)))
			if hint == "" {
				hint = "; `quis app set --fields` shows those that there are"
			}
			return nil, line.Usage(cmd, "there is no field %q%s", name, hint)
		}
		v, err := parse(name, value, f)
		if err != nil {
			return nil, line.Usage(cmd, "%s: %v", name, err)
		}
		if op != '=' {
			if f.Type != "array" {
				return nil, line.Usage(cmd, "%s is no list: %s%c= does not fit it", name, name, op)
			}
			before := now[name]
			if already, ok := out[name]; ok {
				before = already
			}
			v = amend(before, v, op == '+')
		}
		out[name] = v
	}
	return out, nil
}

// parse reads a value as the field wants it. @file stands for what is in the file.
func parse(name, value string, f client.Field) (any, error) {
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
		if name == "grant_types" {
			for i, g := range list {
				if s, ok := g.(string); ok && urns[s] != "" {
					list[i] = urns[s]
				}
			}
		}
		return list, err
	case "string":
		if len(f.Enum) > 0 && !slices.Contains(f.Enum, value) {
			return nil, fmt.Errorf("%q is none of %s%s", value, strings.Join(slices.DeleteFunc(slices.Clone(f.Enum), func(s string) bool { return s == "" }), ", "), near(value, f.Enum))
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
		same := func(e any) bool { return compact(e) == compact(v) }
		switch {
		case !add:
			list = slices.DeleteFunc(list, same)
		case !slices.ContainsFunc(list, same):
			list = append(list, v)
		}
	}
	return list
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(b)
}

func near(word string, names []string) string {
	slices.Sort(names)
	return shape.DidYouMean(word, names)
}

// fieldsText lists the fields with what they mean.
func fieldsText(cmd *cobra.Command, fields map[string]client.Field) error {
	return line.Emit(cmd, fields, []string{"FIELD", "TYPE", "MEANING"}, func(row func(...any)) {
		for _, n := range slices.Sorted(maps.Keys(fields)) {
			f := fields[n]
			kind, meaning := f.Type, f.Description
			switch {
			case kind == "array":
				kind = "list"
			case len(f.Enum) > 0: // too long for a column of their own
				meaning += " One of " + strings.Join(slices.DeleteFunc(slices.Clone(f.Enum), func(s string) bool { return s == "" }), ", ") + "."
			}
			if n == "grant_types" {
				meaning += " Short names will do: " + strings.Join(slices.Sorted(maps.Keys(urns)), ", ") + "."
			}
			row(n, kind, meaning)
		}
	})
}

package line

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Emit prints data on standard output: as JSON, or as the table that rows builds.
func Emit(cmd *cobra.Command, data any, header []string, rows func(row func(cells ...any))) error {
	json, err := AsJSON(cmd)
	if err != nil {
		return err
	}
	if json {
		return WriteJSON(cmd.OutOrStdout(), data)
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	if header != nil {
		fmt.Fprintln(w, strings.Join(header, "\t"))
	}
	rows(func(cells ...any) {
		text := make([]string, len(cells))
		for i, c := range cells {
			if text[i] = Plain(fmt.Sprint(c)); text[i] == "" {
				text[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.TrimRight(strings.Join(text, "\t"), "\t"))
	})
	return w.Flush()
}

// Plain is s with a sign in the place of each character that a terminal obeys rather than
// shows: else whoever wrote a name or a token could write lines that look like ours.
func Plain(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}

// WriteJSON prints data as JSON.
func WriteJSON(w io.Writer, data any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(data)
}

// AsJSON reports whether --output asks for JSON, or what is wrong with it.
func AsJSON(cmd *cobra.Command) (bool, error) {
	switch format, _ := cmd.Flags().GetString("output"); format {
	case "table":
		return false, nil
	case "json":
		return true, nil
	default:
		return false, Usage(cmd, "--output %q is neither table nor json", format)
	}
}

// FlagNames returns the flags that cmd shows.
func FlagNames(cmd *cobra.Command) []string {
	var out []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			out = append(out, f.Name)
		}
	})
	return out
}

// Yes is a truth for a person.
func Yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

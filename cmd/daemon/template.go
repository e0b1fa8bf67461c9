package daemon

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/cmd/daemon/document"
)

// WriteYAML writes c as a configuration file. With commented set, every setting
// has its sentence, and those that have their default value are commented out;
// otherwise only what differs from the default is written. The root key itself
// is never written.
func WriteYAML(w io.Writer, c *Config, commented bool) {
	defaults := Default()
	section := ""
	for _, s := range settings {
		value := s.get(c)
		standard := value == s.get(&defaults) || value == ""
		if s.Secret || (standard && !commented) {
			continue
		}
		prefix, key, nested := strings.Cut(s.Key, ".")
		if !nested {
			prefix, key = "", prefix
		}
		if prefix != section && prefix != "" {
			if commented {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%s:\n", prefix)
		}
		section = prefix
		indent := ""
		if nested {
			indent = "  "
		}
		if commented {
			if !nested {
				fmt.Fprintln(w)
			}
			fmt.Fprintf(w, "%s# %s\n", indent, s.Doc)
		}
		off := ""
		if standard {
			off = "# "
		}
		fmt.Fprintf(w, "%s%s%s: %s\n", indent, off, key, yamlValue(s, value))
	}
}

func yamlValue(s Setting, value string) string {
	if !s.List {
		return yamlScalar(value)
	}
	var items []string
	for _, v := range document.Split(value) {
		items = append(items, yamlScalar(v))
	}
	return "[" + strings.Join(items, ", ") + "]"
}

// yamlScalar quotes what YAML could read as something else than this text.
func yamlScalar(s string) string {
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-", r) {
			return strconv.Quote(s)
		}
	}
	if s == "" || s[0] == '-' || s[0] == '.' {
		return strconv.Quote(s)
	}
	return s
}

package line

import (
	"testing"

	"github.com/spf13/cobra"
)

// A hint can be typed as it stands: it names the same node, and the program where it is.
func TestNext(t *testing.T) {
	t.Parallel()
	for want, args := range map[string][]string{
		"":                                nil,
		" --data-dir /tmp/h":              {"--data-dir", "/tmp/h"},
		" --data-dir 'my house'":          {"--data-dir=my house"},
		" --data-dir 'it'\\''s'":          {"--data-dir=it's"},
		" --addr https://id.example:8443": {"--addr", "https://id.example:8443"},
	} {
		cmd := Online(&cobra.Command{Use: "x"})
		if err := cmd.ParseFlags(args); err != nil {
			t.Fatal(err)
		}
		if got := Where(cmd); got != want {
			t.Errorf("%q: %q, want %q", args, got, want)
		}
	}
	for called, want := range map[string]string{"quis": "quis", "bin/quis": "bin/quis", "/opt/my programs/quis": "quis", "./quis": "./quis"} {
		if got := programOf(called); got != want {
			t.Errorf("%s: %s", called, got)
		}
	}
}

package layout

import (
	"os/exec"
	"strings"
	"testing"
)

// TestMakeTakesAPort: what the README says of `make run` where 8080 is taken.
func TestMakeTakesAPort(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("make"); err != nil {
		t.Logf("nobody types it here: %v", err)
		return
	}
	for _, c := range []struct{ args, want string }{
		{"run", "bin/quis dev"}, {"run3", "bin/quis dev --nodes 3"},
		{"run PORT=9000", "bin/quis dev --port 9000"}, {"run3 PORT=9000", "bin/quis dev --nodes 3 --port 9000"},
	} {
		out, err := exec.Command("make", append([]string{"-C", root(t), "--no-print-directory", "-n", "PORT="}, strings.Fields(c.args)...)...).CombinedOutput()
		lines := strings.Split(strings.TrimSpace(string(out)), "\n")
		if err != nil || strings.TrimSpace(lines[len(lines)-1]) != c.want {
			t.Errorf("make %s: %v, %s", c.args, err, out)
		}
	}
}

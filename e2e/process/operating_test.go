package process

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/guide"
	"github.com/quis-idp/quis/e2e/testbed"
)

// TestOperatorsGuide does what deploy/OPERATING.md says, on four hosts, from the
// first installation to the loss of everything. After each section people must be
// able to sign in on every node that runs.
func TestOperatorsGuide(t *testing.T) {
	t.Parallel()
	document, err := os.ReadFile("../../deploy/OPERATING.md")
	if err != nil {
		t.Fatal(err)
	}
	sections, err := guide.Parse(string(document))
	if err != nil {
		t.Fatal(err)
	}
	bin, err := testbed.Binary()
	if err != nil {
		t.Fatal(err)
	}
	people := filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(people, []byte(bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	hosts := guide.New(t, 4, bin, "QUIS_BOOTSTRAP_FILE="+people, "QUIS_DRAIN=300ms", "QUIS_LOG_LEVEL=warn")
	ran := 0
	for _, s := range sections {
		if len(s.Steps) == 0 {
			continue
		}
		began := time.Now()
		for _, step := range s.Steps {
			hosts.Run(t.Context(), step)
		}
		ran++
		for _, node := range hosts.Public() {
			signInAt(t, node)
		}
		t.Logf("== %s: %s", s.Title, time.Since(began).Round(100*time.Millisecond))
	}
	if ran < 10 {
		t.Errorf("only %d sections have scripts", ran)
	}
}

// signInAt signs the tester in at the node with that base URL.
func signInAt(t *testing.T, node string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	a, err := tester().Authorize(ctx, node, web)
	if err == nil {
		_, err = web.Exchange(ctx, node, a)
	}
	if err != nil {
		t.Errorf("sign in at %s: %v", node, err)
	}
}

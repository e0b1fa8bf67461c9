package guide

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := Parse("# Guide\n\ntext\n\n## One\n\n```sh\n# on node-2\ncd /etc/quis\nquis status\n# on node-1, later\ntrue\n```\n\n```yaml\nno: script\n```\n## Prose\n## Two\n```sh\nx\n```\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []Section{
		{Title: "One", Steps: []Step{{"node-2", 9, "cd /etc/quis\nquis status\n"}, {"node-1", 12, "true\n"}}},
		{Title: "Prose"},
		{Title: "Two", Steps: []Step{{"node-1", 21, "x\n"}}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"```sh\nx\n```\n", "## One\n```sh\nx\n"} {
		if _, err := Parse(bad); err == nil {
			t.Errorf("%q is taken for a guide", bad)
		}
	}
}

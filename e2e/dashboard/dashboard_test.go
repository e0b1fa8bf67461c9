package dashboard

import (
	"bytes"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the dashboard")

const (
	top       = "../.."
	golden    = top + "/deploy/grafana/quis.json"
	alertFile = top + "/deploy/prometheus/alerts.yaml"
	alertTest = top + "/deploy/prometheus/alerts.test.yaml"
)

// TestGolden: the dashboard in deploy is the one that is written here.
func TestGolden(t *testing.T) {
	t.Parallel()
	made, err := JSON()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, made, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	there, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(made, there) {
		t.Errorf("%s is not what this package makes: go generate ./e2e/dashboard\n%s", golden, cmp.Diff(string(there), string(made)))
	}
}

// TestPanels: every panel says what it shows, fits into the grid and has a query.
func TestPanels(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, row := range Rows() {
		for _, p := range row.Panels {
			at := row.Title + " / " + p.Title
			if seen[at] || p.Title == "" || p.Unit == "" || len(p.Queries) == 0 || p.Width < 1 || p.Width > columns {
				t.Errorf("%s: twice, or without title, unit, query or a width that fits", at)
			}
			seen[at] = true
			if !slices.Contains([]string{"stat", "timeseries", "state-timeline", "table"}, p.Kind) {
				t.Errorf("%s: no such kind of panel: %s", at, p.Kind)
			}
			for _, q := range p.Queries {
				if strings.Count(q.Expr, "(") != strings.Count(q.Expr, ")") || strings.Count(q.Expr, "{") != strings.Count(q.Expr, "}") {
					t.Errorf("%s: unbalanced: %s", at, q.Expr)
				}
			}
		}
	}
}

// alerts is the part of a rules file that is looked at.
type alerts struct {
	Groups []struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	} `yaml:"groups"`
}

type rule struct {
	Alert       string            `yaml:"alert"`
	Expr        string            `yaml:"expr"`
	For         string            `yaml:"for"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]string `yaml:"annotations"`
}

func rules(t *testing.T) []rule {
	t.Helper()
	b, err := os.ReadFile(alertFile)
	if err != nil {
		t.Fatal(err)
	}
	var a alerts
	if err := yaml.UnmarshalWithOptions(b, &a, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", alertFile, err)
	}
	var out []rule
	for _, g := range a.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// TestRules: every rule says how urgent it is and what happened, and the important ones
// have a test that promtool runs.
func TestRules(t *testing.T) {
	t.Parallel()
	tests, err := os.ReadFile(alertTest)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, r := range rules(t) {
		if !strings.HasPrefix(r.Alert, "Quis") || seen[r.Alert] || r.Expr == "" || r.Annotations["summary"] == "" {
			t.Errorf("%q: not named Quis…, there twice, or without expression or summary", r.Alert)
		}
		seen[r.Alert] = true
		switch r.Labels["severity"] {
		case "page":
			if !bytes.Contains(tests, []byte("alertname: "+r.Alert)) {
				t.Errorf("%s wakes somebody, but %s does not test it", r.Alert, filepath.Base(alertTest))
			}
			if r.Annotations["action"] == "" {
				t.Errorf("%s wakes somebody without saying what to do", r.Alert)
			}
		case "warning":
		default:
			t.Errorf("%s: severity %q is neither page nor warning", r.Alert, r.Labels["severity"])
		}
	}
	for _, m := range regexp.MustCompile(`alertname: (\w+)`).FindAllSubmatch(tests, -1) {
		if !seen[string(m[1])] {
			t.Errorf("%s tests %s, which is no rule", filepath.Base(alertTest), m[1])
		}
	}
}

// documented are the metrics that documents name, with where.
func documented(t *testing.T) map[string]string {
	t.Helper()
	word := regexp.MustCompile(`\bquis_[a-z0-9_]*[a-z0-9](?:\{[^}]*\})?`)
	others := regexp.MustCompile(`^quis_(pat|session|flow|device|demo)`) // tokens and cookies
	out := map[string]string{}
	err := filepath.WalkDir(top, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != top {
			if d != nil && d.IsDir() {
				return fs.SkipDir
			}
			return err
		}
		if filepath.Ext(path) != ".md" && filepath.Base(path) != "metrics.go" {
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil || filepath.Ext(path) != ".md" {
			return err
		}
		for _, w := range word.FindAllString(string(b), -1) {
			if !others.MatchString(w) {
				out[w] = strings.TrimPrefix(path, top+"/")
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestEverythingNamedIsExported starts three nodes, has people sign in well and badly,
// and looks for every metric and label that dashboard, rules and documents name.
func TestEverythingNamedIsExported(t *testing.T) {
	t.Parallel()
	c := startCluster(t)
	c.backUp()
	c.use()
	eventually(t, "a backup", func() bool {
		return strings.Contains(c.scrape(c.nodes[0]), "quis_backup_last_success_timestamp_seconds")
	})
	has := exposition{}
	for _, n := range c.nodes {
		has.read(c.scrape(n))
	}
	check := func(where, expr string, shown ...string) {
		for _, what := range has.lacks(expr, shown) {
			t.Errorf("%s: %s is not exported", where, what)
		}
	}
	for _, row := range Rows() {
		for _, p := range row.Panels {
			for _, q := range p.Queries {
				check("dashboard: "+row.Title+" / "+p.Title, q.Expr, templated(q.Legend)...)
			}
		}
	}
	for _, r := range rules(t) {
		var shown []string
		for _, text := range r.Annotations {
			shown = append(shown, templated(text)...)
			check("alert "+r.Alert+" (text)", text)
		}
		check("alert "+r.Alert, r.Expr, shown...)
	}
	for expr, where := range documented(t) {
		check(where, expr)
	}
}

// TestLacks: the comparison itself can fail.
func TestLacks(t *testing.T) {
	t.Parallel()
	has := exposition{}
	has.read("# HELP quis_a_total Something.\nquis_a_total{code=\"200\",route=\"/x{id}\"} 1\nquis_b 2.5e+06\nquis_b_bucket{le=\"0.5\"} 3\n")
	for expr, want := range map[string][]string{
		`sum by (code) (rate(quis_a_total{code="200", instance=~"$instance"}[5m]))`: nil,
		`quis_b / quis_c`:                          {"metric quis_c"},
		`quis_a_total{method="GET"}`:               {"quis_a_total with method=GET"},
		`quis_a_total{code="500"} or quis_b`:       {"quis_a_total with code=500"},
		`quis_a_total{code=~"5.."}`:                nil,
		`quis_a_total{route="/x{id}"}`:             nil,
		`sum by (member, le) (quis_b_bucket) > up`: {"label member"},
	} {
		if d := cmp.Diff(want, has.lacks(expr, nil)); d != "" {
			t.Errorf("%s: %s", expr, d)
		}
	}
	if d := cmp.Diff([]string{"label tenant"}, has.lacks("quis_b", []string{"tenant", "instance"})); d != "" {
		t.Error(d)
	}
}

package dashboard

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/e2e/testbed"
)

// installed finds a program of Prometheus, or says that it is not there.
func installed(t *testing.T, name string) (string, bool) {
	t.Helper()
	bin, err := exec.LookPath(name)
	if err != nil {
		t.Logf("NOTE: no %s on this machine (on Debian: apt-get install prometheus): what only it can check is not checked", name)
		return "", false
	}
	return bin, true
}

// TestPromtool: Prometheus' own tool accepts rules and configuration, and the rules fire
// when deploy/prometheus/alerts.test.yaml says so.
func TestPromtool(t *testing.T) {
	t.Parallel()
	promtool, ok := installed(t, "promtool")
	if !ok {
		return
	}
	dir := filepath.Dir(alertFile)
	for _, args := range [][]string{
		{"check", "rules", "alerts.yaml"},
		{"check", "config", "prometheus.yaml"},
		{"test", "rules", "alerts.test.yaml"},
	} {
		cmd := exec.CommandContext(t.Context(), promtool, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}

// mayBeEmpty are the queries of the dashboard that give nothing while all is well.
var mayBeEmpty = []string{
	`code=~"5.."`, // nothing fails
	"quis_backup_last_success_timestamp_seconds", "quis_backup_bytes", "quis_backup_duration_seconds", // none is scheduled
	"quis_snapshot_last_success_timestamp_seconds", // not since the start
}

// TestPrometheus has a real Prometheus scrape three nodes: it evaluates every rule, and
// every query of the dashboard has an answer; with two nodes gone, it tells.
func TestPrometheus(t *testing.T) {
	t.Parallel()
	bin, ok := installed(t, "prometheus")
	if !ok {
		return
	}
	c := startCluster(t)
	p := startPrometheus(t, bin, c)
	eventually(t, "three targets to be scraped twice", func() bool {
		return p.value(`count(up{job="quis"} == 1)`) == 3 && p.value(`min(count_over_time(up{job="quis"}[1m]))`) >= 2
	})
	c.use()
	eventually(t, "rates of all that was done, the last of it being refusals", func() bool {
		return p.value(`count(rate(quis_rate_limited_total[1m]))`) >= 1 && p.value(`count(rate(quis_tokens_issued_total[1m]))`) >= 3
	})
	var quiet []string
	eventually(t, "every rule to be evaluated", func() bool { quiet = nil; return p.evaluated(&quiet) })
	if n := len(rules(t)); len(quiet) != n {
		t.Errorf("%d rules evaluated, want %d", len(quiet), n)
	}
	for _, name := range []string{"QuisNoLeader", "QuisNodeDown", "QuisNotReady"} {
		if p.firing(name) {
			t.Errorf("%s fires though all is well", name)
		}
	}
	for _, row := range Rows() {
		for _, panel := range row.Panels {
			for _, q := range panel.Queries {
				p.answers(row.Title+" / "+panel.Title, q.Expr)
			}
		}
	}
	c.stop(0)
	c.stop(1)
	for _, name := range []string{"QuisNoLeader", "QuisNodeDown"} {
		eventually(t, name+" to fire", func() bool { return p.firing(name) })
	}
}

// A prom is a running Prometheus.
type prom struct {
	t   *testing.T
	url string
}

var waits = regexp.MustCompile(`(?m)^(\s+for:).*$`)

// startPrometheus runs one with our rules, which fire at once here.
func startPrometheus(t *testing.T, bin string, c *cluster) *prom {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(alertFile)
	if err != nil {
		t.Fatal(err)
	}
	var targets []string
	for _, n := range c.nodes {
		targets = append(targets, n.OperationsAddr().String())
	}
	list, err := json.Marshal(targets)
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"alerts.yaml": waits.ReplaceAll(text, []byte("$1 2s")),
		"prometheus.yaml": fmt.Appendf(nil, "global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}\n"+
			"rule_files: [alerts.yaml]\nscrape_configs:\n  - {job_name: quis, static_configs: [{targets: %s}]}\n", list),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeAddress(t)
	var out bytes.Buffer
	cmd := exec.Command(bin, "--config.file", filepath.Join(dir, "prometheus.yaml"), "--storage.tsdb.path", filepath.Join(dir, "data"),
		"--web.listen-address", address, "--log.level", "warn")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := testbed.StartChild(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		_ = cmd.Wait() // killed
		if t.Failed() {
			t.Logf("prometheus said:\n%s", out.String())
		}
	})
	p := &prom{t, "http://" + address}
	eventually(t, "prometheus to be ready", func() bool {
		status, _ := get(t, p.url+"/-/ready")
		return status == http.StatusOK
	})
	return p
}

// ask calls its API and decodes the data of the answer.
func (p *prom) ask(path string, data any) error {
	p.t.Helper()
	_, body := get(p.t, p.url+path)
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.Unmarshal(body, &answer); err != nil {
		return err
	}
	if answer.Status != "success" {
		return fmt.Errorf("%s: %s", answer.Status, answer.Error)
	}
	return nil
}

type result struct {
	Result []struct {
		Metric map[string]string
		Value  [2]any
	}
}

func (p *prom) query(expr string) (result, error) {
	var r result
	return r, p.ask("/api/v1/query?query="+url.QueryEscape(expr), &r)
}

// value is the only sample of a query's answer, or -1.
func (p *prom) value(expr string) float64 {
	r, err := p.query(expr)
	if err != nil || len(r.Result) != 1 {
		return -1
	}
	v := -1.0
	if s, ok := r.Result[0].Value[1].(string); ok {
		if _, err := fmt.Sscan(s, &v); err != nil {
			return -1
		}
	}
	return v
}

// answers has a query of the dashboard evaluated, as Grafana would send it.
func (p *prom) answers(where, expr string) {
	p.t.Helper()
	expr = strings.NewReplacer("$__rate_interval", "1m", "$instance", ".*").Replace(expr)
	r, err := p.query(expr)
	if err != nil {
		p.t.Errorf("%s: %s: %v", where, expr, err)
		return
	}
	empty := slices.ContainsFunc(mayBeEmpty, func(s string) bool { return strings.Contains(expr, s) })
	if len(r.Result) == 0 && !empty {
		p.t.Errorf("%s: no answer to %s", where, expr)
	}
}

type ruleState struct {
	Name, State, Health, LastError string
	LastEvaluation                 string
}

func (p *prom) rules() []ruleState {
	var data struct{ Groups []struct{ Rules []ruleState } }
	if err := p.ask("/api/v1/rules", &data); err != nil {
		return nil
	}
	var out []ruleState
	for _, g := range data.Groups {
		out = append(out, g.Rules...)
	}
	return out
}

// evaluated reports whether all rules have been, without an error, and which.
func (p *prom) evaluated(names *[]string) bool {
	all := p.rules()
	for _, r := range all {
		if r.Health == "err" {
			p.t.Fatalf("rule %s: %s", r.Name, r.LastError)
		}
		if r.Health != "ok" {
			return false
		}
		*names = append(*names, r.Name)
	}
	return len(all) > 0
}

func (p *prom) firing(name string) bool {
	return slices.ContainsFunc(p.rules(), func(r ruleState) bool { return r.Name == name && r.State == "firing" })
}

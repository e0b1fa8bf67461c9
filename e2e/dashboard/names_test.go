package dashboard

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

// named is what an expression names: metrics with the matchers on them, and the labels
// that it groups or joins by.
type named struct {
	metrics map[string][]matcher
	groups  []string
}

type matcher struct{ label, op, value string }

var (
	metricName = regexp.MustCompile(`\b((?:quis|process|go)_[a-z0-9_]+|up)\b(\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?`)
	matchers   = regexp.MustCompile(`([a-z_]+)\s*(=~|!~|!=|=)\s*"((?:\\.|[^"\\])*)"`)
	grouping   = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	legend     = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)
)

// names reads an expression, also one in the middle of a text.
func names(expr string) named {
	out := named{metrics: map[string][]matcher{}}
	for _, m := range metricName.FindAllStringSubmatch(expr, -1) {
		out.metrics[m[1]] = append(out.metrics[m[1]], nil...)
		for _, l := range matchers.FindAllStringSubmatch(m[2], -1) {
			out.metrics[m[1]] = append(out.metrics[m[1]], matcher{l[1], l[2], l[3]})
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			out.groups = append(out.groups, strings.TrimSpace(label))
		}
	}
	return out
}

// labels of a template: "{{instance}} {{ $labels.name }}".
func templated(text string) []string {
	var out []string
	for _, m := range legend.FindAllStringSubmatch(text, -1) {
		out = append(out, m[1])
	}
	return out
}

// exposition is what nodes export: metric to label to values.
type exposition map[string]map[string][]string

var (
	sampleLine = regexp.MustCompile(`(?m)^([a-z_:][a-z0-9_:]*)(?:\{(.*)\})? \S+$`)
	sampleLab  = regexp.MustCompile(`([a-z_]+)="((?:\\.|[^"\\])*)"`)
)

func (e exposition) read(text string) {
	for _, m := range sampleLine.FindAllStringSubmatch(text, -1) {
		if e[m[1]] == nil {
			e[m[1]] = map[string][]string{"instance": nil, "job": nil} // which the scraper adds
		}
		for _, l := range sampleLab.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(e[m[1]][l[1]], l[2]) {
				e[m[1]][l[1]] = append(e[m[1]][l[1]], l[2])
			}
		}
	}
}

// lacks says what of an expression, and of the labels that its results are shown by,
// is not exported.
func (e exposition) lacks(expr string, shown []string) []string {
	n := names(expr)
	var out []string
	here := map[string]bool{}
	for metric, ms := range n.metrics {
		if metric == "up" {
			here["instance"], here["job"] = true, true
			continue
		}
		has, ok := e[metric]
		if !ok {
			out = append(out, "metric "+metric)
			continue
		}
		for label := range maps.Keys(has) {
			here[label] = true
		}
		for _, m := range ms {
			values, ok := has[m.label]
			scraped := m.label == "instance" || m.label == "job"
			if !ok || m.op == "=" && !scraped && !slices.Contains(values, m.value) {
				out = append(out, metric+" with "+m.label+m.op+m.value)
			}
		}
	}
	for _, label := range append(n.groups, shown...) {
		if len(n.metrics) > 0 && !here[label] {
			out = append(out, "label "+label)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

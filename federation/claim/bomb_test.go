package claim

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestExpressionBombs: what would take for ever, or all memory, is refused when it is
// registered or stopped when it runs.
func TestExpressionBombs(t *testing.T) {
	t.Parallel()
	f := facts()
	f.Groups = nil
	for i := range 500 {
		f.Groups = append(f.Groups, fmt.Sprintf("group-%d", i))
	}
	chain := func(from, step string, n int) string { return from + strings.Repeat(step, n) }
	for name, expression := range map[string]string{
		"nested loops":                  `groups.exists(a, groups.exists(b, a + b == "x"))`,
		"three nested loops":            `groups.exists(a, groups.exists(b, groups.exists(c, a + b == c)))`,
		"doubled text":                  chain(`["aaaaaaaa"]`, `.map(s, s + s)`, 30),
		"text times text":               `"` + strings.Repeat("a", 300) + `"` + chain("", `.replace("a", "aaaaaaaaaaaaaaaaaaaa")`, 20),
		"joined times joined":           `groups.map(g, groups.join(g)).join(groups.join("-"))`,
		"doubled list":                  `[groups].map(l, l + l + l + l + l + l + l + l).map(l, l + l + l + l + l + l + l + l + l + l).map(l, l)[0].size()`,
		"list in list":                  chain(`[[1]]`, `.map(l, [l, l])`, 39) + " == " + chain(`[[1]]`, `.map(l, [l, l])`, 39),
		"search in doubled list":        "5 in " + chain(`[[1]]`, `.map(l, l + l)`, 39) + "[0]",
		"computed pattern":              `groups.exists(g, "aaaa".matches("(" + g + "){1000}"))`,
		"pattern of a million":          `"aaaa".matches("((a{100}){100}){100}")`,
		"pattern of many instructions":  `"aaaa".matches("(a{30}b{30}){30}")`,
		"formatted":                     `"%s%s%s%s%s%s".format([groups, groups, groups, groups, groups, groups]) + string(groups.map(a, groups.map(b, "%s".format([groups])))[0].size())`,
		"deep":                          strings.Repeat("[", 100) + strings.Repeat("]", 100),
		"long":                          `"` + strings.Repeat("a", maxExpression) + `"`,
		"many operations":               "1" + strings.Repeat("+1", 999),
		"a million times":               `[1,2,3,4,5,6,7,8,9].map(a, groups.filter(g, groups.exists(h, h == g)))`,
		"result of many":                `groups.map(g, groups)`,
		"long result":                   `groups.join(", ")`,
		"deep result":                   `[[[[[[1]]]]]]`,
		"object with keys of no text":   `{1: 2}`,
		"a type":                        `type(1)`,
		"not a number":                  `0.0 / 0.0`,
		"nothing there":                 `groups[500]`,
		"divided by zero":               `1 / 0`,
		"more than any whole number is": `9223372036854775807 + 1`,
	} {
		t.Run(name, func(t *testing.T) {
			before := time.Now()
			p := compile(expression)
			if p.fault != "" {
				return
			}
			out, err := p.value(t.Context(), f)
			if err == nil {
				t.Errorf("%d bytes came out", len(out))
			}
			if !errors.Is(err, errLimit) && !errors.Is(err, errEval) && !errors.Is(err, errValue) {
				t.Error(err)
			}
			if took := time.Since(before); took > 2*time.Second { // 20 ms and what the machine is busy with
				t.Errorf("took %v", took)
			}
		})
	}
}

// TestResultsOfATokenAreBounded: claims that each fit do not add up to a token that fits nowhere.
func TestResultsOfATokenAreBounded(t *testing.T) {
	t.Parallel()
	var list []Mapping
	for i := range 10 {
		list = append(list, Mapping{Claim: fmt.Sprint("c", i), Value: strings.Repeat("x", 999)})
	}
	out, err := quiet().Plan(list, nil, InIDToken).Apply(t.Context(), facts())
	if err != nil {
		t.Fatal(err)
	}
	size := 0
	for _, c := range out {
		size += len(c.Value)
	}
	if size > maxResults || len(out) < 7 {
		t.Errorf("%d claims of %d bytes", len(out), size)
	}
}

package page

import (
	"math"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// luminance is that of #rrggbb, relative to white (WCAG 2.2, "relative luminance").
func luminance(t *testing.T, colour string) float64 {
	t.Helper()
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		n, err := strconv.ParseUint(colour[1+2*i:3+2*i], 16, 8)
		if err != nil {
			t.Fatal(err)
		}
		c := float64(n) / 255
		if c <= 0.04045 {
			c /= 12.92
		} else {
			c = math.Pow((c+0.055)/1.055, 2.4)
		}
		sum += weight * c
	}
	return sum
}

func contrast(t *testing.T, a, b string) float64 {
	x, y := luminance(t, a), luminance(t, b)
	return (max(x, y) + 0.05) / (min(x, y) + 0.05)
}

// TestContrast measures what stands on what: text 4.5 to 1 (WCAG 2.2, 1.4.3), edges of
// inputs, the ring of what has the focus and drawings that say something 3 to 1 (1.4.11). What
// cannot be undone 7 to 1 (1.4.6).
func TestContrast(t *testing.T) {
	t.Parallel()
	const text, graphic, grave = 4.5, 3.0, 7.0
	pairs := []struct {
		on    string
		least float64
		over  string
	}{
		{"ink soft accent accent-deep fault", text, "paper"},
		{"ink soft accent fault", text, "field"},
		{"fault", text, "fault-wash"},
		{"on-fault", grave, "fault"},
		{"fault", grave, "paper"},
		{"on-accent", text, "accent"},
		{"on-accent", text, "accent-deep"},
		{"edge accent spark", graphic, "paper"},
		{"edge accent spark", graphic, "field"},
	}
	tokens := map[string][]string{}
	for _, m := range regexp.MustCompile(`--([a-z-]+):light-dark\((#[0-9a-f]{6}),(#[0-9a-f]{6})\);`).FindAllStringSubmatch(string(assets["quis.css"].content), -1) {
		if tokens[m[1]] == nil { // print repeats some
			tokens[m[1]] = m[2:]
		}
	}
	for i, scheme := range []string{"light", "dark"} {
		for _, p := range pairs {
			for _, name := range strings.Fields(p.on) {
				on, over := tokens[name], tokens[p.over]
				if on == nil || over == nil {
					t.Fatalf("no colour %s or %s", name, p.over)
				}
				if c := contrast(t, on[i], over[i]); c < p.least {
					t.Errorf("%s: %s on %s is %.2f to 1, want %.1f", scheme, name, p.over, c, p.least)
				}
			}
		}
	}
}

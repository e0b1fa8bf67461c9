package settings

import (
	"fmt"
	"math"
	"strconv"

	"github.com/quis-idp/quis/identity"
)

// minContrast is what text needs against what it stands on (WCAG 2.2, 1.4.3 AA).
const minContrast = 4.5

// CheckColor returns nil if c may be a tenant's colour: "" or #rrggbb, on which white text
// can be read, and which can be read as text on white. Else it names a darker one that will do.
func CheckColor(c string) error {
	if c == "" {
		return nil
	}
	r, g, b, ok := parseColor(c)
	if !ok {
		return identity.Invalid("brand_color", "must be # and six hexadecimal digits, two each for red, green and blue, such as #0b5a49; empty is our own colour")
	}
	if contrastWithWhite(r, g, b) >= minContrast {
		return nil
	}
	return identity.Invalid("brand_color", fmt.Sprintf("is too light for white text to be read on it (contrast %.1f, needed %.1f); %s would do", math.Floor(contrastWithWhite(r, g, b)*10)/10, minContrast, darker(r, g, b)))
}

func parseColor(c string) (r, g, b float64, ok bool) {
	if len(c) != 7 || c[0] != '#' {
		return 0, 0, 0, false
	}
	n, err := strconv.ParseUint(c[1:], 16, 32)
	return float64(n >> 16), float64(n >> 8 & 255), float64(n & 255), err == nil
}

// contrastWithWhite is the contrast ratio of WCAG 2.2, 1 to 21.
func contrastWithWhite(r, g, b float64) float64 {
	linear := func(v float64) float64 {
		if v /= 255; v <= 0.04045 {
			return v / 12.92
		}
		return math.Pow((v+0.055)/1.055, 2.4)
	}
	return 1.05 / (0.2126*linear(r) + 0.7152*linear(g) + 0.0722*linear(b) + 0.05)
}

// darker is the lightest colour of the same hue that passes.
func darker(r, g, b float64) string {
	for f := 1.0; ; f -= 0.01 {
		if r, g, b := math.Floor(r*f), math.Floor(g*f), math.Floor(b*f); contrastWithWhite(r, g, b) >= minContrast {
			return fmt.Sprintf("#%02x%02x%02x", int(r), int(g), int(b))
		}
	}
}

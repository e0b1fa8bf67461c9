package totp

import (
	"fmt"
	"strings"

	"rsc.io/qr"
)

// A Drawing is a QR code to be drawn by a page, in dark on light whatever its theme:
//
//	<svg viewBox="0 0 {{.Size}} {{.Size}}"><path fill="#fff" d="M0 0h{{.Size}}v{{.Size}}H0z"/><path d="{{.Path}}"/></svg>
//
// It needs no image, no style and no script, and so no exception of a page's policy.
type Drawing struct {
	Size int    // of either side, in modules, with the quiet zone
	Path string // SVG path data of the dark modules
}

const quiet = 4 // modules; ISO/IEC 18004 §9.1

// draw makes a QR code of level M, which survives 15 % of damage.
func draw(text string) (Drawing, error) {
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		return Drawing{}, fmt.Errorf("draw QR code: %w", err)
	}
	var b strings.Builder
	for y := range code.Size {
		for x := 0; x < code.Size; x++ {
			if !code.Black(x, y) {
				continue
			}
			from := x
			for x < code.Size && code.Black(x, y) {
				x++
			}
			fmt.Fprintf(&b, "M%d %dh%dv1h-%dz", from+quiet, y+quiet, x-from, x-from)
		}
	}
	return Drawing{Size: code.Size + 2*quiet, Path: b.String()}, nil
}

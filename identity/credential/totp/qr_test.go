package totp

import (
	"fmt"
	"strings"
	"testing"

	"rsc.io/qr"
)

// The path has every dark module of the code, and no other, within the quiet zone.
func TestDrawingIsTheCode(t *testing.T) {
	t.Parallel()
	text := "otpauth://totp/Example:ada%40example.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example"
	d, err := draw(text)
	if err != nil {
		t.Fatal(err)
	}
	code, err := qr.Encode(text, qr.M)
	if err != nil {
		t.Fatal(err)
	}
	if d.Size != code.Size+8 {
		t.Errorf("%d modules for a code of %d", d.Size, code.Size)
	}
	dark := map[[2]int]bool{}
	for part := range strings.SplitSeq(strings.TrimSuffix(d.Path, "z"), "z") {
		var x, y, n, back int
		if _, err := fmt.Sscanf(part, "M%d %dh%dv1h-%d", &x, &y, &n, &back); err != nil || n != back || n < 1 {
			t.Fatalf("%q: %v", part, err)
		}
		for i := range n {
			dark[[2]int{x + i, y}] = true
		}
	}
	for y := range d.Size {
		for x := range d.Size {
			inside := x >= 4 && y >= 4 && x < d.Size-4 && y < d.Size-4
			if want := inside && code.Black(x-4, y-4); dark[[2]int{x, y}] != want {
				t.Fatalf("module %d, %d: %v", x, y, !want)
			}
		}
	}
}

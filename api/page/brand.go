package page

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"

	"github.com/quis-idp/quis/identity/language"
)

// A Look is what a tenant decides about its pages; what is empty is ours.
type Look struct {
	Name      string         // in place of our wordmark
	Color     string         // #rrggbb, of buttons and links
	Languages []language.Tag // that pages may be in; none: all
	Default   language.Tag   // for people who read none of them
}

type lookKey struct{}

// A looked is a look that the first page that is written asks for.
type looked struct {
	once sync.Once
	load func(context.Context) Look
	look Look
}

// WithLook has pages look as load says. It is called once, by the first page that is written, with the context of the
// request as it is then, so it may be set before the tenant.
func WithLook(ctx context.Context, load func(context.Context) Look) context.Context {
	return context.WithValue(ctx, lookKey{}, &looked{load: load})
}

func lookOf(r *http.Request) Look {
	l, ok := r.Context().Value(lookKey{}).(*looked)
	if !ok {
		return Look{}
	}
	l.once.Do(func() { l.look = l.load(r.Context()) })
	return l.look
}

// brandPrefix begins the path of the style sheet of a colour, which ends with it:
// /assets/brand-0b5a49.css. It depends on nothing else, so browsers may keep it.
const brandPrefix = "/assets/brand-"

func brandPath(color string) string {
	if _, ok := parseColor(color); !ok {
		return ""
	}
	return brandPrefix + strings.ToLower(color[1:]) + ".css"
}

// brandSheet is the style sheet at path.
func brandSheet(path string) (string, bool) {
	name, ok := strings.CutSuffix(strings.TrimPrefix(path, brandPrefix), ".css")
	c, valid := parseColor("#" + name)
	if !ok || !valid || !strings.HasPrefix(path, brandPrefix) {
		return "", false
	}
	t := tokens(c)
	return fmt.Sprintf("@layer tokens{:root{--accent:light-dark(%s,%s);--accent-deep:light-dark(%s,%s);--on-accent:light-dark(%s,%s)}}\n",
		t[0], t[1], t[2], t[3], t[4], t[5]), true
}

// What brand colours stand on; see quis.css.
var (
	paper = [2]rgb{{0xf4, 0xf6, 0xf2}, {0x0f, 0x15, 0x13}} // light, dark
	field = [2]rgb{{0xff, 0xff, 0xff}, {0x16, 0x1e, 0x1b}}
	white = rgb{255, 255, 255}
	black = rgb{}
)

// tokens are the accent, the deeper accent and what stands on both, light and dark each,
// moved towards black or white as far as it takes to be read (WCAG 2.2, 1.4.3).
func tokens(c rgb) [6]rgb {
	const text = 4.5
	light := c.until(black, func(x rgb) bool { return x.contrast(paper[0]) >= text && x.contrast(white) >= text })
	dark := c.until(white, func(x rgb) bool {
		return x.contrast(paper[1]) >= text && x.contrast(field[1]) >= text && x.contrast(black) >= text+2
	})
	on := dark.mix(black, 0.85).until(black, func(x rgb) bool { return x.contrast(dark) >= text })
	return [6]rgb{light, dark, light.mix(black, 0.25), dark.mix(white, 0.4), white, on}
}

// An rgb is a colour by its parts, 0 to 255.
type rgb [3]float64

func parseColor(s string) (rgb, bool) {
	if len(s) != 7 || s[0] != '#' {
		return rgb{}, false
	}
	n, err := strconv.ParseUint(s[1:], 16, 32)
	return rgb{float64(n >> 16), float64(n >> 8 & 255), float64(n & 255)}, err == nil
}

// String is the colour as CSS has it.
func (c rgb) String() string {
	return fmt.Sprintf("#%02x%02x%02x", int(c[0]), int(c[1]), int(c[2]))
}

// mix is c with a share of another colour, 0 to 1.
func (c rgb) mix(other rgb, share float64) rgb {
	for i := range c {
		c[i] = math.Round(c[i] + (other[i]-c[i])*share)
	}
	return c
}

// until moves c towards another colour until it is good, or is that colour.
func (c rgb) until(end rgb, good func(rgb) bool) rgb {
	for share := 0.0; share < 1; share += 0.02 {
		if x := c.mix(end, share); good(x) {
			return x
		}
	}
	return end
}

// contrast is that of WCAG 2.2, 1 to 21.
func (c rgb) contrast(other rgb) float64 {
	a, b := c.luminance(), other.luminance()
	return (max(a, b) + 0.05) / (min(a, b) + 0.05)
}

func (c rgb) luminance() float64 {
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := c[i] / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum
}

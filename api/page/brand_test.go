package page

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity/language"
)

// TestEveryBrandColourCanBeRead: whatever a tenant chooses, text on it and of it keeps its contrast.
func TestEveryBrandColourCanBeRead(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	colors := []string{"#000000", "#ffffff", "#ffff00", "#0000ff", "#808080", "#0b5a49", "#ff0000"}
	for range 2000 {
		colors = append(colors, fmt.Sprintf("#%06x", random.IntN(1<<24)))
	}
	for _, color := range colors {
		c, ok := parseColor(color)
		if !ok {
			t.Fatal(color)
		}
		k := tokens(c)
		for i, scheme := range []string{"light", "dark"} {
			accent, deep, on := k[i], k[2+i], k[4+i]
			for what, got := range map[string]float64{
				"text on paper": accent.contrast(paper[i]), "text on a field": accent.contrast(field[i]), "a hovered link": deep.contrast(paper[i]),
				"a button": on.contrast(accent), "a hovered button": on.contrast(deep),
			} {
				if got < 4.5 {
					t.Errorf("%s, %s: %s is %.2f to 1", color, scheme, what, got)
				}
			}
		}
	}
}

func TestBrand(t *testing.T) {
	t.Parallel()
	r := asking("/", "fr", "", false)
	loads := 0
	r = r.WithContext(WithLook(r.Context(), func(context.Context) Look {
		loads++
		return Look{Name: "Acme & Co", Color: "#1D4ED8", Languages: []language.Tag{"de", "en"}, Default: "de"}
	}))
	p := Page[view](NewSite(files(`<h1>x</h1>`), nil), "p.html")
	w := httptest.NewRecorder()
	if err := p.Write(w, r, 200, view{}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"<title>T · Acme &amp; Co</title>", `<span class="brand">Acme &amp; Co</span>`, `href="/assets/brand-1d4ed8.css"`, `<html lang="de"`, `value="en"`} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("no %s in %s", want, w.Body)
		}
	}
	if loads != 1 || strings.Contains(w.Body.String(), `value="fr"`) {
		t.Errorf("loaded %d times, or a language that the tenant left out: %s", loads, w.Body)
	}
	for path, want := range map[string]int{"/assets/brand-1d4ed8.css": 200, "/assets/brand-1d4ed.css": 404, "/assets/brand-}*{x:y.css": 404, "/assets/brand-1d4ed8.js": 404} {
		w := httptest.NewRecorder()
		r := request("GET")
		r.URL.Path = path
		Assets().ServeHTTP(w, r)
		if w.Code != want || want == 200 && (!strings.Contains(w.Body.String(), "--accent:light-dark(#1d4ed8,#") || w.Header().Get("Content-Type") != "text/css; charset=utf-8") {
			t.Errorf("%s: %d %s %v", path, w.Code, w.Body, w.Header())
		}
	}
}

package page

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity"
)

// A Still is written once for each language and look, and is the same for everybody but for its holes.
func TestStillIsWrittenOnce(t *testing.T) {
	t.Parallel()
	written := 0
	s := StillOf(Page[view](NewSite(files(`<h1>{{.Name}}</h1>`), nil), "p.html"), func(r *http.Request) view {
		written++
		return view{string(Language(r)) + `">` + Hole + " in " + Gap}
	})
	read := func(r *http.Request) string {
		w := httptest.NewRecorder()
		if err := s.Write(w, r, http.StatusServiceUnavailable, r.URL.Query().Get("flow"), "<2 minutes>"); err != nil || w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Security-Policy") != ContentSecurityPolicy {
			t.Fatalf("%v, %d %v", err, w.Code, w.Header())
		}
		return w.Body.String()
	}
	for _, tag := range []string{"de", "fr", "de", "de"} {
		if body := read(asking("/login?flow=a%26%3Cb%22+c", "", tag, false)); !strings.Contains(body, "<h1>"+tag) || !strings.Contains(body, "a%26%3Cb%22+c in &lt;2 minutes&gt;</h1>") {
			t.Errorf("in %s: %s", tag, body)
		}
	}
	if written != 2 {
		t.Errorf("written %d times for two languages", written)
	}
	for i := range 2 * maxStills {
		r := request("GET")
		read(r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{Issuer: fmt.Sprintf("https://%d.example.com", i)})))
	}
	if len(s.kept) > maxStills {
		t.Errorf("%d are kept", len(s.kept))
	}
}

package page

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFramesAreTheOnlyOnesAllowed: whatever address an application registered, the policy
// of the page has a frame-src of its origin and no directive more.
func TestFramesAreTheOnlyOnesAllowed(t *testing.T) {
	t.Parallel()
	frames := Frames([]string{
		"https://a.example.com/out?sid=1", "https://A.example.com/out?sid=2", "http://[::1]:8080/out", "https://b.example.com:8443/",
		"https://c.example.com;script-src/", "https://*.example.com/", "https://'self'/", "https://u@d.example.com/", "javascript:alert(1)", "data:text/html,x", "/out", "",
		"https://e.example.com,f.example.com/",
	})
	want := []string{"https://a.example.com/out?sid=1", "https://A.example.com/out?sid=2", "http://[::1]:8080/out", "https://b.example.com:8443/"}
	if diff := cmp.Diff(want, frames); diff != "" {
		t.Error(diff)
	}
	w := httptest.NewRecorder()
	err := errorPage.WriteFraming(w, httptest.NewRequest("GET", "/", nil), 200, failure{}, frames)
	if err != nil {
		t.Fatal(err)
	}
	policy, ok := strings.CutPrefix(w.Header().Get("Content-Security-Policy"), ContentSecurityPolicy)
	if !ok || policy != "; frame-src https://a.example.com http://[::1]:8080 https://b.example.com:8443" {
		t.Errorf("policy %q", policy)
	}
	w = httptest.NewRecorder()
	if err := errorPage.WriteFraming(w, httptest.NewRequest("GET", "/", nil), 200, failure{}, nil); err != nil || w.Header().Get("Content-Security-Policy") != ContentSecurityPolicy {
		t.Errorf("%v, policy without frames %q", err, w.Header().Get("Content-Security-Policy"))
	}
}

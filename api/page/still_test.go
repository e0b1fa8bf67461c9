package page

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/quis-idp/quis/identity"
)

// A Still is written once for each language, look and whatever it shows, and is the same for everybody but for its holes.
func TestStillIsWrittenOnce(t *testing.T) {
	t.Parallel()
	s := StillOf(Page[view](NewSite(files(`<a href="/login?flow={{.Name}}">{{.Name}}</a>`), nil), "p.html"))
	read := func(r *http.Request, flow, words, name string) string {
		w := httptest.NewRecorder()
		if err := s.Write(w, r, http.StatusServiceUnavailable, view{name}, flow, words); err != nil || w.Code != http.StatusServiceUnavailable || w.Header().Get("Content-Security-Policy") != ContentSecurityPolicy {
			t.Fatalf("%v, %d %v", err, w.Code, w.Header())
		}
		return w.Body.String()
	}
	for _, tag := range []string{"de", "fr", "de", "de"} {
		body := read(asking("/", "", tag, false), `a&<b" c`, "<2 minutes>", Hole+" in "+Gap)
		if !strings.Contains(body, `lang="`+tag) || !strings.Contains(body, `a%26%3Cb%22+c in &lt;2 minutes&gt;</a>`) || strings.Contains(body, "languages") {
			t.Errorf("in %s: %s", tag, body)
		}
	}
	if len(s.kept) != 2 {
		t.Errorf("written %d times for two languages", len(s.kept))
	}
	if body := read(asking("/", "", "de", false), "", "", "another"); !strings.Contains(body, ">another</a>") {
		t.Errorf("another's: %s", body)
	}
	here := func(flow string) string {
		return read(Here(asking("/", "", "de", false), "/login?flow="+Hole), flow, "", "with languages")
	}
	if body := here("F1") + here("F2"); strings.Count(body, `name="flow" value="F1"`) != 1 || strings.Count(body, `name="flow" value="F2"`) != 1 {
		t.Errorf("in other languages: %s", body)
	}
	if len(s.kept) != 4 {
		t.Errorf("written %d times for four that differ", len(s.kept))
	}
	for i := range 2 * maxStills {
		r := request("GET")
		read(r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{Issuer: fmt.Sprintf("https://%d.example.com", i)})), "", "", "")
	}
	if len(s.kept) > maxStills {
		t.Errorf("%d are kept", len(s.kept))
	}
}

// A slowly is data that takes until its channel is closed to be written.
type slowly struct {
	Begun, Until chan struct{}
}

func (s slowly) Wait() string {
	if s.Until != nil {
		close(s.Begun)
		<-s.Until
	}
	return "done"
}

// Attack: a stranger asks for one page after the other that nobody has asked for yet. Those that are kept go on being given.
func TestNobodyWaitsForAStillOfAnother(t *testing.T) {
	t.Parallel()
	s := StillOf(Page[slowly](NewSite(files(`{{.Wait}}`), nil), "p.html"))
	write := func(data slowly) {
		if err := s.Write(httptest.NewRecorder(), request("GET"), http.StatusOK, data, "", ""); err != nil {
			t.Error(err)
		}
	}
	write(slowly{})
	others := slowly{make(chan struct{}), make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		write(others)
	}()
	<-others.Begun
	write(slowly{})
	close(others.Until)
	<-ended
}

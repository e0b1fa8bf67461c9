package api

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
)

// serve lets mux answer r, except for what ServeMux says by itself in plain text: no such
// path, wrong method, and redirects to a cleaned path, which would lose the tenant.
func serve(mux *http.ServeMux, rec *recorder, r *http.Request) {
	h, pattern := mux.Handler(r)
	switch {
	case pattern == "":
		refuse(h, rec, r)
	case strings.HasSuffix(pattern, r.URL.Path+"/"):
		rec.route = pattern
		to := url.URL{Path: page.Base(r) + r.URL.Path + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(rec, r, to.String(), http.StatusTemporaryRedirect)
	case !strings.Contains(pattern, "{"): // nothing to take from the path: it need not be matched again
		rec.route, r.Pattern = pattern, pattern
		h.ServeHTTP(rec, r)
	default:
		rec.route = pattern
		mux.ServeHTTP(rec, r)
	}
}

// refuse asks the mux's own answer for the status and the Allow header only.
func refuse(h http.Handler, rec *recorder, r *http.Request) {
	var p probe
	h.ServeHTTP(&p, r)
	if p.status == http.StatusMethodNotAllowed {
		rec.Header().Set("Allow", p.Header().Get("Allow"))
		page.Answer(rec, r, problem.ErrMethod)
		return
	}
	page.Answer(rec, r, problem.ErrRoute)
}

// A probe is a ResponseWriter that keeps status and headers.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }

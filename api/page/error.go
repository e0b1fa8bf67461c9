package page

import (
	"cmp"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

// failure is what an error page shows.
type failure struct {
	Title, Detail, Reference, Home string
	End                            string // where to stop acting as somebody else; "" that is not what is wrong
}

var (
	errorSite = &Site{files: kit, texts: shared}
	errorPage = Page[failure](errorSite, "templates/error/error.html")
)

// Error answers with an error page. Title and detail are for a person to read; empty
// ones are replaced by what there is to say about status. The page shows the ID of the
// request, by which the log has it.
func Error(w http.ResponseWriter, r *http.Request, status int, title, detail string) {
	fail(w, r, status, failure{Title: title, Detail: detail, Reference: identity.RequestFrom(r.Context()).ID})
}

func fail(w http.ResponseWriter, r *http.Request, status int, f failure) {
	problem.Instead(w.Header())
	f.Home = Base(r) + "/"
	f.Title = cmp.Or(f.Title, about(r, status, "title"))
	f.Detail = cmp.Or(f.Detail, about(r, status, "detail"))
	if err := errorPage.Write(w, r, status, f); err != nil {
		problem.Write(w, r, err) // our own template is broken: say at least something
	}
}

// Fail answers with err as an error page: the status from the table of api/problem, the
// detail from an identity.Error if there is one. The log has it, see problem.Report. Who acts as
// somebody else is offered to stop, and not sent to an administrator: that is who they are.
func Fail(w http.ResponseWriter, r *http.Request, err error) {
	problem.Report(r, err)
	p := problem.Of(r.Context(), err)
	if p.RetryAfter > 0 {
		w.Header().Set("Retry-After", problem.RetryAfter(p.RetryAfter))
	}
	if errors.Is(err, session.ErrImpersonated) {
		fail(w, r, p.Status, failure{Detail: detail(r, p.Detail), End: Base(r) + "/impersonate/end"})
		return
	}
	Error(w, r, p.Status, "", detail(r, p.Detail))
}

// Handle adapts a handler that returns its error: the error is answered with [Fail].
// A handler that has begun its answer must return nil.
func Handle(h func(w http.ResponseWriter, r *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := h(w, r); err != nil {
			Fail(w, r, err)
		}
	})
}

// Answer writes err as a page or as a problem, by what r accepts.
func Answer(w http.ResponseWriter, r *http.Request, err error) {
	if Accepted(r) {
		Fail(w, r, err)
		return
	}
	problem.Write(w, r, err)
}

// Accepted reports whether r asks for a page. A program that does not say what it wants,
// or says */*, is given JSON: browsers always name text/html when they navigate.
func Accepted(r *http.Request) bool {
	for _, part := range strings.Split(r.Header.Get("Accept"), ",") {
		kind, params, err := mime.ParseMediaType(part)
		if err != nil || kind != "text/html" && kind != "application/xhtml+xml" {
			continue
		}
		q, err := strconv.ParseFloat(params["q"], 64)
		return params["q"] == "" || err == nil && q > 0
	}
	return false
}

// about returns the text for status, or for the class it belongs to.
func about(r *http.Request, status int, part string) string {
	for _, code := range []int{status, status / 100 * 100} {
		if key := fmt.Sprintf("error.%d.%s", code, part); shared.Has(key) {
			return errorSite.Text(r, key)
		}
	}
	return errorSite.Text(r, "error.500."+part)
}

package page

import (
	"net/http"
	"strconv"
)

// WorkerPath is where the service worker is, within a tenant. A worker is in charge of the
// paths beside it, and asked for anew under the same name, so it is no asset like others.
const (
	WorkerPath  = "/account/worker.js"
	WorkerScope = "/account/" // of paths that it is in charge of
)

// Worker serves the service worker, which shows what is pushed to a browser, and says when it
// is pushed to elsewhere; see [WorkerPath].
// It is the same for everybody, signed in or not: browsers look for a new one when they like.
func Worker(w http.ResponseWriter, r *http.Request) {
	a := assets["worker.js"]
	h := w.Header()
	h.Set("Content-Type", a.kind)
	h.Set("Content-Security-Policy", "default-src 'none'; connect-src 'self'; require-trusted-types-for 'script'") // of the worker itself
	h.Set("Cache-Control", "no-cache")
	h.Set("Content-Length", strconv.Itoa(len(a.content)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(a.content) // the browser has left: nobody to tell
	}
}

package api

import (
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/identity"
)

// ServeHTTP is the way of a request through the house; see the package comment for the order.
func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	d.cfg.Metrics.Begin()
	rec := &recorder{ResponseWriter: w}
	defer func() {
		d.cfg.Metrics.End(rec.route, r.Method, rec.code(), time.Since(begun))
	}()

	info := d.identify(r)
	rec.Header().Set("X-Request-Id", info.ID)
	maps.Copy(rec.Header(), d.always)
	ctx := problem.WithLog(identity.WithRequest(r.Context(), info), d.mistakes)
	if certs := d.certificates(r); len(certs) > 0 {
		ctx = identity.WithCertificate(ctx, certs...)
	}
	ctx = identity.WithTenant(ctx, identity.Tenant{ID: identity.DefaultTenant, Issuer: d.cfg.PublicURL})
	if d.cfg.Look != nil {
		ctx = page.WithLook(ctx, d.cfg.Look)
	}
	r = r.WithContext(ctx)
	defer func() { d.recovered(rec, r, recover()) }()

	mux := d.root
	tenant, path, err := d.resolve(r)
	if err != nil {
		page.Answer(rec, r, err)
		return
	}
	if tenant.ID != identity.DefaultTenant {
		mux, r = d.tenant, inside(r, tenant, path)
	}
	if err := limitBody(rec, r); err != nil {
		page.Answer(rec, r, err)
		return
	}
	if err := d.origin.Check(r); err != nil {
		page.Answer(rec, r, identity.Denied("This was sent from another site. Go back and try again from here."))
		return
	}
	serve(mux, rec, r)
}

// recovered answers for a handler that panicked with v, counts it and logs where. It leaves
// http.ErrAbortHandler, which is no fault, to the server.
func (d *door) recovered(rec *recorder, r *http.Request, v any) {
	if v == nil {
		return
	}
	if v == http.ErrAbortHandler {
		panic(v)
	}
	d.cfg.Metrics.Panicked()
	d.log.ErrorContext(r.Context(), "handler panicked", "request_id", identity.RequestFrom(r.Context()).ID,
		"method", r.Method, "route", problem.Route(r), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if rec.status != 0 {
		panic(http.ErrAbortHandler) // half an answer is out: cut it off, do not let it pass for a whole one
	}
	if page.Accepted(r) {
		page.Error(rec, r, http.StatusInternalServerError, "", "")
		return
	}
	problem.Write(rec, r, errPanic)
}

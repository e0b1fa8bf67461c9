package audit

import (
	"context"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
)

// The parts that every route is made of, by the names that they have here.
type (
	route       = dispatch.Route
	call        = dispatch.Call
	pageIn      = dispatch.PageIn
	byID        = dispatch.ByID
	page[T any] = dispatch.Page[T]
)

func handle[In, Out any](fn func(*call, *In) (*Out, error)) dispatch.Handler {
	return dispatch.Handle(fn)
}

// Config is what the routes work on.
type Config struct {
	DB   *fsm.DB
	Node func(context.Context) string // ID of this node
}

type api struct{ cfg Config }

// Routes returns the table.
func Routes(cfg Config) []route {
	a := &api{cfg: cfg}
	return []route{
		{Method: "GET", Path: "/events", Op: "listEvents", Summary: "List what happened in the tenant, newest first. With a filter a page may be short and still have a next one.", Do: handle(a.list)},
		{Method: "GET", Path: "/events/{id}", Op: "getEvent", Summary: "Get one event.", Do: handle(a.get)},
		{Method: "GET", Path: "/audit/verify", Needs: dispatch.OfInstallation, Op: "verifyAudit", Summary: "Recompute the chain of all events of all tenants on this node.", Do: handle(a.verify)},
	}
}

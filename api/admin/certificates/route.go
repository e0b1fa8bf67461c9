package certificates

import (
	"context"
	"slices"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
)

// The parts that every route is made of, by the names that they have here.
type (
	route         = dispatch.Route
	call          = dispatch.Call
	none          = dispatch.None
	byID          = dispatch.ByID
	page[T any]   = dispatch.Page[T]
	change[T any] = dispatch.Change[T]
)

func handle[In, Out any](fn func(*call, *In) (*Out, error)) dispatch.Handler {
	return dispatch.Handle(fn)
}

// Config is what the routes work on.
type Config struct {
	DB *fsm.DB
	// Modern makes sure that every member heeds what has been revoked.
	Modern func(context.Context) error
	// Take takes something away from a user, but not the last way in without force.
	Take func(c *dispatch.Call, user string, force bool, take func(*fsm.Tx) error) error
}

type api struct{ cfg Config }

// Routes returns the table.
func Routes(cfg Config) []dispatch.Route {
	a := &api{cfg: cfg}
	return slices.Concat(a.authorities(), a.lists(), a.people())
}

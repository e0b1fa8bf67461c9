package people

import (
	"context"
	"slices"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/keys/seal"
)

// The parts that every route is made of, by the names that they have here.
type (
	route       = dispatch.Route
	call        = dispatch.Call
	none        = dispatch.None
	pageIn      = dispatch.PageIn
	byID        = dispatch.ByID
	page[T any] = dispatch.Page[T]
)

func handle[In, Out any](fn func(*call, *In) (*Out, error)) dispatch.Handler {
	return dispatch.Handle(fn)
}

// list copies a list, and is [] in JSON where there is none.
func list(s []string) []string { return append([]string{}, s...) }

// Config is what the routes work on.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring
	Mail *notify.Room
	// Offers are leave to act as somebody else.
	Offers *impersonation.Offers
	// Modern makes sure that every member knows invitations, recoveries and impersonations.
	Modern func(context.Context) error
}

type api struct{ cfg Config }

// Routes returns the table.
func Routes(cfg Config) []dispatch.Route {
	a := &api{cfg: cfg}
	return slices.Concat(a.invitations(), a.imports(), a.recoveries(), a.impersonations())
}

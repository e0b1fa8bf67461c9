package oauth

import (
	"context"
	"slices"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/federation/fetch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// The parts that every route is made of, by the names that they have here.
type (
	route         = dispatch.Route
	call          = dispatch.Call
	none          = dispatch.None
	pageIn        = dispatch.PageIn
	byID          = dispatch.ByID
	page[T any]   = dispatch.Page[T]
	change[T any] = dispatch.Change[T]
)

func handle[In, Out any](fn func(*call, *In) (*Out, error)) dispatch.Handler {
	return dispatch.Handle(fn)
}

func show[R, T any](rows []R, next string, f func(*R) T) *page[T] {
	return dispatch.Show(rows, next, f)
}

// list copies a list, and is [] in JSON where there is none.
func list(s []string) []string { return append([]string{}, s...) }

// Config is what the routes work on.
type Config struct {
	DB   *fsm.DB
	Ring *seal.Ring
	// Fetch says which URLs of applications could be fetched.
	Fetch *fetch.Client
	// Modern makes sure that every member knows settings beyond those of the first release.
	Modern func(context.Context) error
	// Factors makes sure that every member holds people to a policy of second factors.
	Factors func(ctx context.Context, mfa string) error
}

type api struct{ cfg Config }

// Routes returns the table.
func Routes(cfg Config) []dispatch.Route {
	a := &api{cfg: cfg}
	return slices.Concat(
		a.applications(),
		a.secrets(),
		a.registration(),
		a.access(),
		a.roles(),
		a.simulation(),
		a.scopes(),
		a.resourceServers(),
		a.consents(),
		a.logoutDeliveries(),
	)
}

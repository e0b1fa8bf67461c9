package authentication

import (
	"context"
	"slices"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/notify"
)

// The parts that every route is made of, by the names that they have here.
type (
	route         = dispatch.Route
	call          = dispatch.Call
	none          = dispatch.None
	change[T any] = dispatch.Change[T]
)

func handle[In, Out any](fn func(*call, *In) (*Out, error)) dispatch.Handler {
	return dispatch.Handle(fn)
}

// list copies a list, and is [] in JSON where there is none.
func list(s []string) []string { return append([]string{}, s...) }

// Config is what the routes work on.
type Config struct {
	DB *fsm.DB
	// Modern makes sure that every member holds people to what is decided here.
	Modern func(context.Context) error
	// Factors makes sure of that for a policy of second factors.
	Factors func(ctx context.Context, mfa string) error
	// Checks are those of new passwords at this node.
	Checks credential.Checks
	// Mail knows whether a tenant sends any.
	Mail *notify.Room
}

type api struct{ cfg Config }

// Routes returns the table.
func Routes(cfg Config) []dispatch.Route {
	a := &api{cfg: cfg}
	return slices.Concat(a.settings(), a.lowering(), a.policies(), a.passwords(), a.metadata())
}

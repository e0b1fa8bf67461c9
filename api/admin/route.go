package admin

import (
	"errors"
	"net/http"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
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

const (
	prefix         = dispatch.Prefix
	ofInstallation = dispatch.OfInstallation
	ofPerson       = dispatch.OfPerson
)

func handle[In, Out any](fn func(*call, *In) (*Out, error)) dispatch.Handler {
	return dispatch.Handle(fn)
}

func streaming[In any](fn func(*call, *In, http.ResponseWriter) error) dispatch.Handler {
	return dispatch.Streaming(fn)
}

func show[R, T any](rows []R, next string, f func(*R) T) *page[T] {
	return dispatch.Show(rows, next, f)
}

// oneOrNone makes a list of a lookup.
func oneOrNone[T any](row *T, err error) ([]T, error) {
	if errors.Is(err, fsm.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return []T{*row}, nil
}

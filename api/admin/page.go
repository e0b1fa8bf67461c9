package admin

import (
	"errors"

	"github.com/quis-idp/quis/fsm"
)

// show makes a page of rows as the API shows them.
func show[R, T any](rows []R, next string, f func(*R) T) *page[T] {
	p := &page[T]{Data: make([]T, 0, len(rows)), HasMore: next != "", Next: next}
	for i := range rows {
		p.Data = append(p.Data, f(&rows[i]))
	}
	return p
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

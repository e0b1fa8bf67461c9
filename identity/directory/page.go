package directory

import (
	"iter"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

const (
	defaultPage = 50
	maxPage     = 500
)

// A page collects rows up to its limit and knows where the next one begins.
type page[T any] struct {
	rows  []T
	next  string
	limit int
	last  string
}

func newPage[T any](after string, limit int) (*page[T], error) {
	if !fsm.ValidCursor(after) {
		return nil, errCursor()
	}
	if limit <= 0 {
		limit = defaultPage
	}
	return &page[T]{limit: min(limit, maxPage)}, nil
}

func (p *page[T]) fill(rows iter.Seq2[*T, error], cursor func(*T) string) error {
	for row, err := range rows {
		if err != nil {
			return err
		}
		if len(p.rows) == p.limit {
			p.next = p.last
			return nil
		}
		p.rows, p.last = append(p.rows, *row), cursor(row)
	}
	return nil
}

func errCursor() error { return identity.Invalid("after", "is not a cursor of this list") }

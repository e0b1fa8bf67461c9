package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strconv"
)

// A List says which part of a list to get. The zero value is the first page.
type List struct {
	Limit      int    // rows, at most 200; 0: the server's choice
	After      string // Next of the page before
	Consistent bool   // see everything acknowledged before, at the price of asking the leader
}

func (l List) query() url.Values {
	q := url.Values{}
	if l.Limit > 0 {
		q.Set("limit", strconv.Itoa(l.Limit))
	}
	if l.After != "" {
		q.Set("after", l.After)
	}
	if l.Consistent {
		q.Set("consistent", "true")
	}
	return q
}

// A Page is one part of a list.
type Page[T any] struct {
	Data    []T    `json:"data"`
	HasMore bool   `json:"has_more"`
	Next    string `json:"next"`
}

// All yields the rows of every page that list returns, from l on, until an error, which
// comes with a zero row: client.All(ctx, client.List{}, c.Users.List).
func All[T any](ctx context.Context, l List, list func(context.Context, List) (*Page[T], error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for {
			p, err := list(ctx, l)
			if err != nil {
				var zero T
				yield(zero, err)
				return
			}
			for _, row := range p.Data {
				if !yield(row, nil) {
					return
				}
			}
			if !p.HasMore {
				return
			}
			l.After = p.Next
		}
	}
}

// Collect returns the rows that All yields; where there are none, an empty list.
func Collect[T any](ctx context.Context, l List, list func(context.Context, List) (*Page[T], error)) ([]T, error) {
	rows := []T{}
	for row, err := range All(ctx, l, list) {
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func list[T any](ctx context.Context, c *Client, path string, q url.Values) (*Page[T], error) {
	return listOf[T](ctx, c, path, request{query: q})
}

func listOf[T any](ctx context.Context, c *Client, path string, in request) (*Page[T], error) {
	var p Page[T]
	_, err := c.call(ctx, http.MethodGet, path, in, &p)
	if err != nil {
		return nil, err
	}
	return &p, nil
}

// fetch gets, creates or changes one resource; the pointer that etag returns receives its ETag.
func fetch[T any](ctx context.Context, c *Client, method, path string, in request, etag func(*T) *string) (*T, error) {
	var v T
	tag, err := c.call(ctx, method, path, in, &v)
	if err != nil {
		return nil, err
	}
	if etag != nil {
		*etag(&v) = tag
	}
	return &v, nil
}

func (c *Client) remove(ctx context.Context, path string) error {
	return c.removeWith(ctx, path, request{})
}

func (c *Client) removeWith(ctx context.Context, path string, in request) error {
	_, err := c.call(ctx, http.MethodDelete, path, in, nil)
	return err
}

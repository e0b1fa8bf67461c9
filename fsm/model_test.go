package fsm_test

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"pgregory.net/rapid"
)

// A world is what a program runs in: the store under test, or the model.
type world interface {
	get(id string) (*link, error)
	byName(name string) (*link, error)
	byTag(tag string, limit int, reverse bool) ([]string, error)
	all(limit int, reverse bool) ([]string, error)
	put(l *link) error
	del(id string) error
	count(k string) (int64, error)
	add(k string, n int64) error
	raise(k string, n int64) error
	note(s string) error
	now() time.Time
}

// A step is one operation of a program.
type step struct {
	Op          string
	ID, Name    string
	Tag         string
	Limit       int
	Reverse     bool
	TTL         time.Duration
	N           int64
	DependsOnIt bool // the value written is a function of all that was read
}

var steps = rapid.Custom(func(t *rapid.T) step {
	return step{
		Op:   rapid.SampledFrom([]string{"get", "byName", "byTag", "all", "put", "put", "put", "del", "count", "add", "raise", "note"}).Draw(t, "op"),
		ID:   rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "id"),
		Name: rapid.SampledFrom([]string{"", "N", "M"}).Draw(t, "name"),
		Tag:  rapid.SampledFrom([]string{"red", "blue", "red/dark"}).Draw(t, "tag"),
		TTL:  rapid.SampledFrom([]time.Duration{0, 0, 16 * time.Second, 16 * time.Second} /* longer than a batch lives */).Draw(t, "ttl"),

		Limit: rapid.IntRange(1, 4).Draw(t, "limit"), Reverse: rapid.Bool().Draw(t, "reverse"),
		N: rapid.Int64Range(-3, 3).Draw(t, "n"), DependsOnIt: rapid.Bool().Draw(t, "depends"),
	}
})

// run carries out a program and returns what it has read, as text. What a program
// does next depends on nothing but that.
func run(w world, program []step) (trace []string, err error) {
	see := func(v any, err error) error {
		if err != nil && !errors.Is(err, fsm.ErrNotFound) && !errors.Is(err, fsm.ErrExists) {
			return err
		}
		if l, ok := v.(*link); ok && l != nil {
			v = fmt.Sprint(l.ID, l.Names, l.Tags, l.Expires.UnixMilli())
		}
		trace = append(trace, fmt.Sprint(v, err != nil))
		return nil
	}
	for _, s := range program {
		var err error
		switch s.Op {
		case "get":
			err = see(w.get(s.ID))
		case "byName":
			err = see(w.byName(s.Name))
		case "byTag":
			err = see(w.byTag(s.Tag, s.Limit, s.Reverse))
		case "all":
			err = see(w.all(s.Limit, s.Reverse))
		case "put":
			l := &link{ID: s.ID, Tags: []string{s.Tag}}
			if s.Name != "" {
				l.Names = []string{s.Name}
			}
			if s.DependsOnIt {
				l.Tags = append(l.Tags, strings.Join(trace, ";"))
			}
			if s.TTL > 0 {
				l.Expires = w.now().Add(s.TTL)
			}
			err = see(nil, w.put(l)) // ErrExists is something read, too
		case "del":
			err = w.del(s.ID)
		case "count":
			err = see(w.count(s.ID))
		case "add":
			err = w.add(s.ID, s.N)
		case "raise":
			err = w.raise(s.ID, s.N)
		case "note":
			err = w.note(strings.Join(trace, ";"))
		}
		if err != nil {
			return trace, err
		}
	}
	return trace, nil
}

// storeWorld runs programs in a transaction of the store.
type storeWorld struct{ tx *fsm.Tx }

func (w storeWorld) now() time.Time { return w.tx.Now() }
func (w storeWorld) get(id string) (*link, error) {
	return links.Get(w.tx, fsm.Global, fsm.K(id))
}

func (w storeWorld) byName(name string) (*link, error) {
	return linkByName.Get(w.tx, fsm.Global, fsm.K(name))
}

func (w storeWorld) byTag(tag string, limit int, reverse bool) ([]string, error) {
	return collect(linkByTag.List(w.tx, fsm.Global, listing(reverse, fsm.Prefix(keys([]string{tag})[0]))...), limit)
}

func (w storeWorld) all(limit int, reverse bool) ([]string, error) {
	return collect(links.List(w.tx, fsm.Global, listing(reverse)...), limit)
}
func (w storeWorld) put(l *link) error   { return links.Put(w.tx, l) }
func (w storeWorld) del(id string) error { return links.Delete(w.tx, fsm.Global, fsm.K(id)) }
func (w storeWorld) count(k string) (int64, error) {
	return hits.Get(w.tx, fsm.Global, fsm.K(k))
}

func (w storeWorld) add(k string, n int64) error {
	return hits.Add(w.tx, fsm.Global, fsm.K(k), n, time.Time{})
}

func (w storeWorld) raise(k string, n int64) error {
	return hits.Max(w.tx, fsm.Global, fsm.K(k), n, time.Time{})
}
func (w storeWorld) note(s string) error { return notes.Append(w.tx, "scope", &s) }

func listing(reverse bool, opts ...fsm.ListOption) []fsm.ListOption {
	if reverse {
		opts = append(opts, fsm.Reverse())
	}
	return opts
}

func collect(rows iter.Seq2[*link, error], limit int) (got []string, err error) {
	for l, err := range rows {
		if err != nil {
			return nil, err
		}
		if got = append(got, l.ID+fmt.Sprint(l.Tags)); len(got) == limit {
			break
		}
	}
	return got, nil
}

// A model is the store as anybody would write it who had one node and no crash.
type model struct {
	rows   map[string]link
	counts map[string]int64
	notes  []string
}

func (m *model) clone() *model {
	return &model{rows: maps.Clone(m.rows), counts: maps.Clone(m.counts), notes: slices.Clone(m.notes)}
}

// modelWorld runs a program on a model at a time. As the store promises, a counter
// is read as it was before the transaction.
type modelWorld struct {
	*model
	before map[string]int64
	at     time.Time // what has expired
	begun  time.Time // the transaction's own time, from which it computes deadlines
}

func newModelWorld(m *model, at, begun time.Time) modelWorld {
	return modelWorld{model: m, before: maps.Clone(m.counts), at: at, begun: begun}
}

func (w modelWorld) now() time.Time { return w.begun }

func (w modelWorld) get(id string) (*link, error) {
	if l, ok := w.rows[id]; ok && (l.Expires.IsZero() || l.Expires.After(w.at)) {
		return &l, nil
	}
	return nil, fsm.ErrNotFound
}

func (w modelWorld) byName(name string) (*link, error) {
	for id := range w.rows {
		if l, err := w.get(id); err == nil && slices.Contains(l.Names, name) {
			return l, nil
		}
	}
	return nil, fsm.ErrNotFound
}

func (w modelWorld) all(limit int, reverse bool) ([]string, error) {
	return w.list(limit, reverse, func(*link) string { return "" })
}

// byTag lists in the order of the index: red before its subdivision, then by key.
func (w modelWorld) byTag(tag string, limit int, reverse bool) ([]string, error) {
	return w.list(limit, reverse, func(l *link) string {
		if t := l.Tags[0]; t != tag && !strings.HasPrefix(t, tag+"/") {
			return "-"
		}
		return string(keys(l.Tags[:1])[0] + fsm.K(l.ID))
	})
}

func (w modelWorld) list(limit int, reverse bool, place func(*link) string) (got []string, err error) {
	at := map[string]string{}
	var order []string
	for id := range w.rows {
		if l, err := w.get(id); err == nil {
			if p := place(l); p != "-" {
				at[p+id] = l.ID + fmt.Sprint(l.Tags)
				order = append(order, p+id)
			}
		}
	}
	slices.Sort(order)
	if reverse {
		slices.Reverse(order)
	}
	for _, p := range order[:min(limit, len(order))] {
		got = append(got, at[p])
	}
	return got, nil
}

func (w modelWorld) put(l *link) error {
	for _, name := range l.Names {
		if other, err := w.byName(name); err == nil && other.ID != l.ID {
			return fsm.ErrExists
		}
	}
	w.rows[l.ID] = *l
	return nil
}

func (w modelWorld) del(id string) error {
	if _, err := w.get(id); err == nil {
		delete(w.rows, id)
	}
	return nil
}
func (w modelWorld) count(k string) (int64, error) { return w.before[k], nil }
func (w modelWorld) add(k string, n int64) error   { w.counts[k] += n; return nil }

func (w modelWorld) raise(k string, n int64) error {
	if was, ok := w.counts[k]; !ok || n > was {
		w.counts[k] = n
	}
	return nil
}
func (w modelWorld) note(s string) error { w.model.notes = append(w.model.notes, s); return nil }

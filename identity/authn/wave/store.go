package wave

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

const (
	maxRows = 16 // windows in one entry
	maxFrom = 8  // sources that are named
)

// A Wave is guessing under way in a tenant.
type Wave struct {
	Kind     string    `cbor:"1,keyasint,omitempty"`
	Begun    time.Time `cbor:"2,keyasint,omitempty"`
	Names    int64     `cbor:"3,keyasint,omitempty"` // that failed, of the largest source
	Networks int64     `cbor:"4,keyasint,omitempty"` // of stuffing
	From     []string  `cbor:"5,keyasint,omitempty"` // of a network: where from, a few
}

// A Batch is what this node has counted and the store does not know yet.
type Batch struct {
	rows   []row
	sheets []*sheet
	at     []int64 // changes of each that are in its row
}

// Take returns what is to be written, which may be nothing; it stays to be written until Written.
func (w *Watch) Take() Batch {
	now := w.db.Now()
	var b Batch
	w.mu.Lock()
	defer w.mu.Unlock()
	for tenant, sheets := range w.own {
		for at, s := range sheets {
			switch {
			case !counts(at, now):
				delete(sheets, at)
			case s.changes != s.written && s.all.Failed >= worthSheet && len(b.rows) < maxRows:
				b.rows = append(b.rows, s.row(tenant, w.node, at))
				b.sheets, b.at = append(b.sheets, s), append(b.at, s.changes)
			}
		}
		if len(sheets) == 0 {
			delete(w.own, tenant)
		}
	}
	return b
}

// Empty reports whether there is nothing to write.
func (b Batch) Empty() bool { return len(b.rows) == 0 }

// Write puts b into a transaction, which may run more than once.
func (b Batch) Write(tx *fsm.Tx) error {
	for i := range b.rows {
		if err := table.Put(tx, &b.rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// Written says that a Batch is in the store.
func (w *Watch) Written(b Batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, s := range b.sheets {
		s.written = max(s.written, b.at[i])
	}
}

// Refresh reads what all nodes have counted, and writes the events of waves that have begun or
// ended, if no other node has.
func (w *Watch) Refresh(ctx context.Context) error {
	others, news := map[string]*sums{}, []string(nil)
	err := w.db.View(ctx, func(tx *fsm.Tx) error {
		clear(others)
		all, err := read(table.ListAll(tx), tx.Now())
		if err != nil {
			return err
		}
		news = w.take(all, others)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read what is guessed: %w", err)
	}
	w.mu.Lock()
	w.others = others
	w.knocks.turn(w.db.Now())
	w.mu.Unlock()
	for _, tenant := range news {
		if err := w.db.Update(ctx, func(tx *fsm.Tx) error { return tell(tx, tenant) }); err != nil {
			return fmt.Errorf("tell of guessing: %w", err)
		}
	}
	return nil
}

// A view is what the store has of one tenant.
type view struct {
	sheets []*row
	told   map[string]*Wave
}

func read(rows iter.Seq2[*row, error], now time.Time) (map[string]*view, error) {
	out := map[string]*view{}
	for r, err := range rows {
		if err != nil {
			return nil, err
		}
		v := out[r.Tenant]
		if v == nil {
			v = &view{told: map[string]*Wave{}}
			out[r.Tenant] = v
		}
		if r.Wave != nil {
			v.told[r.Wave.Kind] = r.Wave
		} else if counts(r.Window, now) {
			v.sheets = append(v.sheets, r)
		}
	}
	return out, nil
}

// waves are those that the rows say are under way.
func (v *view) waves() map[string]Wave {
	var s sums
	for _, r := range v.sheets {
		s.add(r)
	}
	return s.waves()
}

// take sums up what others counted, sets the metric, and returns the tenants of which there is
// something to tell.
func (w *Watch) take(all map[string]*view, others map[string]*sums) (news []string) {
	under := map[string]int{}
	for tenant, v := range all {
		var s sums
		for _, r := range v.sheets {
			if r.Node != w.node {
				s.add(r)
			}
		}
		others[tenant] = &s
		waves := v.waves()
		for kind := range waves {
			under[kind]++
		}
		if changed(v.told, waves) {
			news = append(news, tenant)
		}
	}
	for _, kind := range Kinds {
		w.under.WithLabelValues(kind).Set(float64(under[kind]))
	}
	return news
}

// changed reports whether what was told is not how it is. That a wave grows is noted each
// time it has doubled.
func changed(told map[string]*Wave, waves map[string]Wave) bool {
	for kind, now := range waves {
		if was := told[kind]; was == nil || now.Names >= 2*was.Names {
			return true
		}
	}
	for kind := range told {
		if _, on := waves[kind]; !on {
			return true
		}
	}
	return false
}

// tell writes down which waves there are in a tenant, with an event for each that began or
// ended. It decides by what it reads in this transaction, so a node that lags, or two at
// once, cannot make one wave two.
func tell(tx *fsm.Tx, tenant string) error {
	all, err := read(table.List(tx, fsm.Scope(tenant)), tx.Now())
	if err != nil || all[tenant] == nil {
		return err
	}
	_, _, err = directory.GetTenant(tx, tenant)
	gone := errors.Is(err, fsm.ErrNotFound)
	if err != nil && !gone {
		return err
	}
	told, waves := all[tenant].told, all[tenant].waves()
	for kind, now := range waves {
		was := told[kind]
		if gone || was != nil && now.Names < 2*was.Names {
			continue
		}
		if now.Begun = tx.Now(); was != nil {
			now.Begun = was.Begun
		} else if err := event.Append(tx, now.event(tenant, event.AttackBegun)); err != nil {
			return err
		}
		if err := table.Put(tx, &row{Tenant: tenant, Wave: &now}); err != nil {
			return err
		}
	}
	for kind, was := range told {
		if _, on := waves[kind]; on && !gone {
			continue
		}
		if err := table.Delete(tx, fsm.Scope(tenant), waveKey(kind)); err != nil {
			return err
		}
		if gone {
			continue
		}
		if err := event.Append(tx, was.event(tenant, event.AttackEnded)); err != nil {
			return err
		}
	}
	return nil
}

func (w *Wave) event(tenant string, what event.Type) event.Event {
	e := event.Event{
		Tenant: tenant, Type: what, Target: event.Target{Kind: "tenant", ID: tenant},
		Actor: identity.Actor{Kind: identity.ActorSystem},
		Data:  map[string]string{"kind": w.Kind, "names": strconv.FormatInt(w.Names, 10)},
	}
	if w.Networks > 0 {
		e.Data["networks"] = strconv.FormatInt(w.Networks, 10)
	}
	if len(w.From) > 0 {
		e.Data["from"] = strings.Join(w.From, " ")
	}
	if what == event.AttackEnded {
		e.Data["begun"] = w.Begun.UTC().Format(time.RFC3339)
	}
	return e
}

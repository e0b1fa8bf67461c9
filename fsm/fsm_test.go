package fsm_test

import (
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
)

type person struct {
	Tenant string `cbor:"1,keyasint"`
	ID     string `cbor:"2,keyasint"`
	Email  string `cbor:"3,keyasint"`
	Team   string `cbor:"4,keyasint"`
}

var (
	people = fsm.NewTable(1, "people", fsm.Spec[person]{
		Scope: func(p *person) fsm.Scope { return fsm.Scope(p.Tenant) },
		Key:   func(p *person) fsm.Key { return fsm.K(p.ID) },
	})
	byEmail = people.Unique(1, "email", func(p *person) []fsm.Key { return []fsm.Key{fsm.K(strings.ToLower(p.Email))} })
	byTeam  = people.Index(2, "team", func(p *person) []fsm.Key { return []fsm.Key{fsm.K(p.Team)} })
)

func TestTwoNodesRaceForOneEmail(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 3, people)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i := range 3 {
		wg.Go(func() {
			errs[i] = c.DB[i].Update(t.Context(), func(tx *fsm.Tx) error {
				return people.Insert(tx, &person{Tenant: "t", ID: string(rune('a' + i)), Email: "One@example.com"})
			})
		})
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		switch {
		case err == nil:
			won++
		case !errors.Is(err, fsm.ErrExists):
			t.Errorf("got %v, want ErrExists", err)
		}
	}
	if won != 1 {
		t.Errorf("%d creations won, want 1", won)
	}
	for i, db := range c.DB {
		err := db.View(t.Context(), func(tx *fsm.Tx) error {
			_, err := byEmail.Get(tx, "t", fsm.K("one@example.com"))
			return err
		})
		if err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
		if p, q := db.Position(), c.DB[0].Position(); p.Chain != q.Chain {
			t.Errorf("replica %d diverged", i)
		}
	}
}

// TestPhantomIsAConflict: who counted a team, by its rows or by their keys alone, counts again
// when somebody joins it.
func TestPhantomIsAConflict(t *testing.T) {
	t.Parallel()
	red := fsm.Prefix(fsm.K("red"))
	for name, count := range map[string]func(*fsm.Tx) (int, error){
		"rows": func(tx *fsm.Tx) (n int, err error) { return counted(byTeam.List(tx, "t", red)) },
		"keys": func(tx *fsm.Tx) (n int, err error) { return counted(byTeam.Keys(tx, "t", red)) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			phantom(t, count)
		})
	}
}

func counted[T any](all iter.Seq2[T, error]) (n int, err error) {
	for _, err := range all {
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func phantom(t *testing.T, count func(*fsm.Tx) (int, error)) {
	c := fsmtest.NewCluster(t, 2, people)
	runs := 0
	err := c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		runs++
		n, err := count(tx)
		if err != nil {
			return err
		}
		if runs == 1 { // somebody joins the team behind our back
			err := c.DB[1].Update(t.Context(), func(tx *fsm.Tx) error {
				return people.Insert(tx, &person{Tenant: "t", ID: "x", Email: "x@example.com", Team: "red"})
			})
			if err != nil {
				return err
			}
		}
		return people.Put(tx, &person{Tenant: "t", ID: "count", Email: string(rune('0' + n)), Team: "counts"})
	})
	if err != nil {
		t.Fatal(err)
	}
	if runs != 2 {
		t.Errorf("closure ran %d times, want 2", runs)
	}
	err = c.DB[1].View(t.Context(), func(tx *fsm.Tx) error {
		p, err := people.Get(tx, "t", fsm.K("count"))
		if err == nil && p.Email != "1" {
			t.Errorf("counted %s, want 1", p.Email)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

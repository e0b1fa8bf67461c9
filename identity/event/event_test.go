package event_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

func add(t testing.TB, db *fsm.DB, events ...event.Event) {
	t.Helper()
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		for _, e := range events {
			if err := event.Append(tx, e); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, db *fsm.DB, tenant string, q event.Query) (page []event.Event, next string) {
	t.Helper()
	err := db.View(t.Context(), func(tx *fsm.Tx) (err error) {
		page, next, err = event.List(tx, tenant, q)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return page, next
}

func names(page []event.Event) (all []string) {
	for _, e := range page {
		all = append(all, e.Target.Name)
	}
	return all
}

func named(tenant string, typ event.Type, n string) event.Event {
	return event.Event{Tenant: tenant, Type: typ, Target: event.Target{Kind: "user", ID: "usr_" + n, Name: n}}
}

func TestListPagesNewestFirstWithinTheTenant(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, event.Tables...)
	for i := range 7 {
		add(t, c.DB[i%2], named("a", event.UserCreated, fmt.Sprint(i)), named("b", event.UserCreated, "other"))
	}
	var got []string
	q := event.Query{Limit: 3}
	for pages := 0; ; pages++ {
		page, next := list(t, c.DB[0], "a", q)
		got = append(got, names(page)...)
		if q.After = next; next == "" {
			if pages != 2 {
				t.Errorf("%d pages, want 3", pages+1)
			}
			break
		}
	}
	if diff := cmp.Diff([]string{"6", "5", "4", "3", "2", "1", "0"}, got); diff != "" {
		t.Error(diff)
	}
	page, _ := list(t, c.DB[1], "a", event.Query{Oldest: true, Limit: 2})
	if diff := cmp.Diff([]string{"0", "1"}, names(page)); diff != "" {
		t.Error(diff)
	}
	if e := page[0]; e.Tenant != "a" || e.Time.IsZero() || e.Cursor == "" || !identity.ValidID(identity.PrefixEvent, e.ID) {
		t.Errorf("incomplete: %+v", e)
	}
}

func TestListFilters(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	one := named("a", event.UserCreated, "x")
	one.Actor = identity.Actor{Kind: identity.ActorUser, ID: "usr_admin"}
	add(t, db, one, named("a", event.UserUpdated, "x"), named("a", event.GroupCreated, "y"))
	for _, c := range []struct {
		q    event.Query
		want int
	}{
		{event.Query{}, 3}, {event.Query{Type: "user."}, 2}, {event.Query{Type: "user.updated"}, 1},
		{event.Query{Actor: "usr_admin"}, 1}, {event.Query{Target: "usr_x"}, 2}, {event.Query{Target: "usr_x", Type: "group."}, 0},
	} {
		if page, _ := list(t, db, "a", c.q); len(page) != c.want {
			t.Errorf("%+v: got %d, want %d", c.q, len(page), c.want)
		}
	}
	err := db.View(t.Context(), func(tx *fsm.Tx) error {
		_, _, err := event.List(tx, "a", event.Query{After: "nonsense"})
		return err
	})
	if !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("bad cursor: got %v, want ErrInvalid", err)
	}
}

func TestEventsAreBoundedAndReadable(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	big := strings.Repeat("\xffä", 100_000)
	ctx := identity.WithRequest(t.Context(), identity.Request{ID: big, IP: big, UserAgent: big})
	err := db.Update(ctx, func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{
			Tenant: "a", Type: event.SigninFailed, Target: event.Target{Kind: big, ID: big, Name: big},
			Data: map[string]string{big: big}, Changes: []event.Change{{Field: big, Before: big, After: big}},
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	page, _ := list(t, db, "a", event.Query{})
	if len(page) != 1 {
		t.Fatalf("%d events, want 1", len(page))
	}
	if n := len(fmt.Sprint(page[0])); n > 8<<10 {
		t.Errorf("event has %d bytes", n)
	}
	if page[0].Actor.Kind != identity.ActorAnonymous {
		t.Errorf("actor is %q", page[0].Actor.Kind)
	}
	many := map[string]string{}
	for i := range 65 {
		many[fmt.Sprint(i)] = ""
	}
	for _, e := range []event.Event{{}, {Type: "user"}, {Type: "User.created"}, {Type: ".x"}, {Type: event.UserCreated, Data: many}} {
		err := db.Update(t.Context(), func(tx *fsm.Tx) error { return event.Append(tx, e) })
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%q: got %v, want ErrInvalid", e.Type, err)
		}
	}
}

func TestCatalogueIsComplete(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	for typ, text := range event.Catalogue {
		add(t, db, event.Event{Type: typ}) // well formed
		if !strings.HasSuffix(text, ".") {
			t.Errorf("%s: %q is no sentence", typ, text)
		}
	}
}

func TestNothingIsAppendedWhenTheChangeFails(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	stop := errors.New("stop")
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		return errors.Join(event.Append(tx, named("a", event.UserCreated, "x")), stop)
	})
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	if page, _ := list(t, db, "a", event.Query{}); len(page) != 0 {
		t.Errorf("%d events", len(page))
	}
}

package event_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

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
	one.Actor = identity.Actor{Kind: identity.ActorUser, ID: "usr_admin", Impersonator: "usr_helper"}
	about := event.Event{Tenant: "a", Type: event.GroupMemberAdded, Target: event.Target{Kind: "group", ID: "grp_z"}, Data: map[string]string{"user_id": "usr_x"}}
	add(t, db, one, named("a", event.UserUpdated, "x"), named("a", event.GroupCreated, "y"), about)
	for _, c := range []struct {
		q    event.Query
		want int
	}{
		{event.Query{}, 4}, {event.Query{Type: "user."}, 2}, {event.Query{Type: "user.updated"}, 1},
		{event.Query{User: "usr_x"}, 3}, {event.Query{User: "usr_admin"}, 1}, {event.Query{User: "usr_helper"}, 1}, {event.Query{User: "usr_z"}, 0},
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

// What is older than asked for is no part of a list, in neither order and with no page to come.
func TestListSince(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	db := c.DB[0]
	var at []time.Time
	for i := range 9 {
		add(t, db, named("b", event.UserCreated, "other"), named("a", event.UserCreated, fmt.Sprint(i)), named("a", event.UserCreated, fmt.Sprint(i)))
		page, _ := list(t, db, "a", event.Query{Limit: 1})
		at = append(at, page[0].Time)
		c.Advance(time.Hour)
	}
	for i, since := range at {
		for _, q := range []event.Query{{Since: since}, {Since: since.Add(-time.Minute), Oldest: true}, {Since: since, Limit: 2 * (9 - i)}} {
			page, next := list(t, db, "a", q)
			if len(page) != 2*(9-i) || next != "" {
				t.Errorf("%+v: %v, next %q", q, names(page), next)
			}
		}
		page, next := list(t, db, "a", event.Query{Since: since, Oldest: true, Limit: 1})
		if names(page)[0] != fmt.Sprint(i) {
			t.Errorf("oldest first since %d: %v", i, names(page))
		}
		if page, _ = list(t, db, "a", event.Query{Since: since, Oldest: true, After: next}); len(page) != 2*(9-i)-1 {
			t.Errorf("the next page since %d: %v", i, names(page))
		}
	}
	for _, q := range []event.Query{{Since: at[8].Add(time.Second)}, {Since: at[8].Add(time.Second), Oldest: true}} {
		if page, next := list(t, db, "a", q); len(page) != 0 || next != "" {
			t.Errorf("%+v: %v, next %q", q, names(page), next)
		}
	}
}

func TestGet(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	db := c.DB[0]
	var ids []string
	for i := range 9 {
		add(t, db, named("b", event.UserCreated, "other"), named("a", event.UserCreated, fmt.Sprint(i)))
		page, _ := list(t, db, "a", event.Query{Limit: 1})
		// Its ID is by the clock of the machine, which stays while the state's goes on.
		late := named("a", event.UserUpdated, fmt.Sprint(i))
		late.ID = idAt(page[0].Time.Add(time.Duration(i-4) * 10 * time.Second))
		add(t, db, late)
		ids = append(ids, late.ID)
		c.Advance(time.Hour)
	}
	get := func(tenant, id string) (e *event.Event, err error) {
		return e, db.View(t.Context(), func(tx *fsm.Tx) error {
			e, err = event.Get(tx, tenant, id)
			return err
		})
	}
	for i, id := range ids {
		e, err := get("a", id)
		if err != nil || e.Target.Name != fmt.Sprint(i) || e.Tenant != "a" || e.Cursor == "" {
			t.Errorf("%s: %+v, %v", id, e, err)
		}
		if _, err := get("b", id); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%s in another tenant: %v", id, err)
		}
	}
	for _, id := range []string{"", "evt_x", "usr_" + ids[0][4:], identity.NewID(identity.PrefixEvent), idAt(time.Time{}), idAt(time.Now().AddDate(100, 0, 0))} {
		if _, err := get("a", id); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%q: %v", id, err)
		}
	}
}

// idAt is an ID of an event that was made then.
func idAt(made time.Time) string {
	var u [16]byte
	binary.BigEndian.PutUint64(u[:], uint64(made.UnixMilli())<<16)
	return identity.FormatID(identity.PrefixEvent, u)
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

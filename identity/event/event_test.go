package event_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
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

func verify(t testing.TB, db *fsm.DB) event.Anchor {
	t.Helper()
	a, err := event.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestVerifyAgainstANotedAnchor(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, event.Tables...)
	if a := verify(t, c.DB[0]); a.Count != 0 {
		t.Errorf("empty journal: %+v", a)
	}
	for i := range 5 {
		add(t, c.DB[0], named("a", event.UserCreated, fmt.Sprint(i)))
	}
	noted := verify(t, c.DB[0])
	back, err := event.ParseAnchor(noted.String())
	if err != nil || back != noted {
		t.Fatalf("got %+v, %v, want %+v", back, err, noted)
	}
	add(t, c.DB[1], named("b", event.UserCreated, "later"))
	head, err := event.VerifyAgainst(t.Context(), c.DB[1], noted)
	if err != nil || head.Count != 6 {
		t.Errorf("head %+v, %v", head, err)
	}
	forged := noted
	forged.Link[3] ^= 1
	ahead := head
	ahead.Count = 9
	for _, a := range []event.Anchor{forged, ahead} {
		if _, err := event.VerifyAgainst(t.Context(), c.DB[1], a); !errors.Is(err, fsm.ErrCorrupt) {
			t.Errorf("%s: got %v, want ErrCorrupt", a, err)
		}
	}
	// Another history, itself consistent, that someone put in the place of this one.
	other := fsmtest.New(t, event.Tables...)
	for i := range 6 {
		add(t, other, named("a", event.UserCreated, fmt.Sprint("other", i)))
	}
	verify(t, other)
	if _, err := event.VerifyAgainst(t.Context(), other, noted); !errors.Is(err, fsm.ErrCorrupt) {
		t.Errorf("rewritten history: got %v, want ErrCorrupt", err)
	}
}

func FuzzParseAnchor(f *testing.F) {
	f.Add(event.Anchor{Count: 3, Position: fsm.JournalPosition{Index: 9}}.String())
	f.Fuzz(func(t *testing.T, s string) {
		a, err := event.ParseAnchor(s)
		if err == nil && a.String() != s {
			t.Errorf("%q and %q are one anchor", s, a)
		}
	})
}

// TestTamperingIsFound edits the rows of a store the way someone with the disk could.
func TestTamperingIsFound(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	for i := range 4 {
		add(t, db, named("a", event.UserCreated, fmt.Sprint("user", i)))
	}
	noted := verify(t, db)
	entry := func(k []byte) bool { return k[0] == 'j' }
	for name, edit := range map[string]func(i int, k, v []byte) ([]byte, bool){
		"changed": func(i int, k, v []byte) ([]byte, bool) {
			return bytes.Replace(v, []byte("user1"), []byte("user9"), 1), true
		},
		"moved in time": func(i int, k, v []byte) ([]byte, bool) {
			if entry(k) && i == 2 {
				v[36] ^= 1
			}
			return v, true
		},
		"removed": func(i int, k, v []byte) ([]byte, bool) { return v, !entry(k) || i != 1 },
		"cut off": func(i int, k, v []byte) ([]byte, bool) { return v, !entry(k) || i != 3 },
	} {
		t.Run(name, func(t *testing.T) {
			bad := tampered(t, db, entry, edit)
			if _, err := event.Verify(t.Context(), bad); !errors.Is(err, fsm.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			if _, err := event.VerifyAgainst(t.Context(), bad, noted); !errors.Is(err, fsm.ErrCorrupt) {
				t.Errorf("against the anchor: got %v, want ErrCorrupt", err)
			}
		})
	}
	same := tampered(t, db, entry, func(_ int, _, v []byte) ([]byte, bool) { return v, true })
	if got := verify(t, same); got != noted {
		t.Errorf("an untouched copy has %s, want %s", got, noted)
	}
}

// tampered returns a store restored from an edited stream of db; i counts the keys that count selects.
func tampered(t *testing.T, db *fsm.DB, count func(k []byte) bool, edit func(i int, k, v []byte) ([]byte, bool)) *fsm.DB {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var raw bytes.Buffer
	if _, err := s.WriteTo(&raw); err != nil {
		t.Fatal(err)
	}
	line, err := raw.ReadBytes('\n')
	if err != nil {
		t.Fatal(err)
	}
	out := bytes.NewBuffer(line)
	i := 0
	for {
		k := field(t, &raw)
		if len(k) == 0 {
			break
		}
		v, keep := edit(i, k, field(t, &raw))
		if count(k) {
			i++
		}
		if keep {
			out.Write(append(binary.AppendUvarint(nil, uint64(len(k))), k...))
			out.Write(append(binary.AppendUvarint(nil, uint64(len(v))), v...))
		}
	}
	out.WriteByte(0)
	sum := sha256.Sum256(out.Bytes())
	out.Write(sum[:])
	bad, err := fsm.Open(fsm.Config{Dir: t.TempDir(), Schema: event.Tables})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { bad.Close() })
	if err := bad.Restore(out); err != nil {
		t.Fatal(err)
	}
	return bad
}

func field(t *testing.T, r *bytes.Buffer) []byte {
	t.Helper()
	n, err := binary.ReadUvarint(r)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(r.Next(int(n)))
}

var errStop = errors.New("stop")

func TestFollowGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 2, event.Tables...)
	add(t, c.DB[0], named("a", event.UserCreated, "0"), named("b", event.UserCreated, "1"))
	add(t, c.DB[0], named("a", event.UserCreated, "2"))
	var got []string
	follow := func(db *fsm.DB, stopAt int) error {
		return event.Follow(t.Context(), db, "reader", func(_ context.Context, e *fsm.JournalEntry[event.Event]) error {
			if len(got) == stopAt {
				return errStop
			}
			got = append(got, event.Read(e).Tenant+e.Value.Target.Name)
			return nil
		})
	}
	if err := follow(c.DB[0], 2); !errors.Is(err, errStop) {
		t.Fatalf("got %v", err)
	}
	add(t, c.DB[1], named("b", event.UserCreated, "3"))
	if err := follow(c.DB[1], 3); !errors.Is(err, errStop) { // another leader
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"a0", "b1", "a2"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestFollowWaitsAndEnds(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	err := db.Update(t.Context(), func(tx *fsm.Tx) error {
		return errors.Join(event.Append(tx, named("a", event.UserCreated, "before")))
	})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(t.Context(), func(tx *fsm.Tx) error { return event.SkipToEnd(tx, "late") })
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen, ended := make(chan string, 10), make(chan error)
	go func() {
		ended <- event.Follow(ctx, db, "late", func(_ context.Context, e *fsm.JournalEntry[event.Event]) error {
			seen <- e.Value.Target.Name
			return nil
		})
	}()
	add(t, db, named("a", event.UserCreated, "after"))
	if got := <-seen; got != "after" {
		t.Errorf("got %q, want after", got)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
}

func TestTwoFollowersOfOneName(t *testing.T) {
	t.Parallel()
	db := fsmtest.New(t, event.Tables...)
	add(t, db, named("a", event.UserCreated, "0"))
	err := event.Follow(t.Context(), db, "r", func(context.Context, *fsm.JournalEntry[event.Event]) error {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		return event.Follow(ctx, db, "r", func(context.Context, *fsm.JournalEntry[event.Event]) error {
			defer cancel()
			return nil
		})
	})
	if !errors.Is(err, fsm.ErrConflict) {
		t.Errorf("got %v, want ErrConflict", err)
	}
}

func TestFollowIsFenced(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, event.Tables...)
	add(t, c.DB[0], named("a", event.UserCreated, "0"))
	ctx := fsm.FencedBy(t.Context(), c.Term())
	c.NewTerm()
	err := event.Follow(ctx, c.DB[0], "r", func(context.Context, *fsm.JournalEntry[event.Event]) error { return nil })
	if !errors.Is(err, fsm.ErrFenced) {
		t.Errorf("a deposed leader's cursor: got %v, want ErrFenced", err)
	}
}

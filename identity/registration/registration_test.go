package registration_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/registration"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/note"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const ten = identity.DefaultTenant

// A house is a few nodes over one log, each with a desk, and one user, ann.
type house struct {
	*fsmtest.Cluster
	t     *testing.T
	desks []*registration.Desk
	flows []*authn.Flows
	rings []*seal.Ring
	group string
}

func newHouse(t *testing.T, n int) *house {
	t.Helper()
	h := &house{t: t, Cluster: fsmtest.NewCluster(t, n, slices.Concat(seal.Tables, event.Tables, directory.Tables, settings.Tables, session.Tables, authn.Tables)...)}
	h.rings = sealtest.Rings(t, h.DB...)
	h.do(func(tx *fsm.Tx) error {
		if err := directory.EnsureDefault(tx); err != nil {
			return err
		}
		g, err := directory.CreateGroup(tx, ten, directory.Group{Name: "newcomers"})
		if err != nil {
			return err
		}
		h.group = g.ID
		_, err = directory.CreateUser(tx, ten, directory.User{Username: "ann", Email: "ann@example.com"})
		return err
	})
	for i, db := range h.DB {
		flows := authn.New(authn.Config{
			DB: db, Ring: h.rings[i], Sessions: session.NewStore(session.Config{DB: db, Ring: h.rings[i]}),
			CheckPassword: func(context.Context, string, string, string) error { return identity.ErrUnauthenticated },
		})
		h.flows, h.desks = append(h.flows, flows), append(h.desks, registration.New(db, h.rings[i], flows))
	}
	h.decide(func(*settings.Authentication) {})
	return h
}

func (h *house) do(fn func(tx *fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// decide lets strangers register, as change says.
func (h *house) decide(change func(*settings.Authentication)) {
	h.t.Helper()
	s := settings.Default(ten)
	s.SelfRegistration = true
	change(&s)
	h.do(func(tx *fsm.Tx) error { return settings.Put(tx, 0, s) })
}

func (h *house) begin(email string) *registration.Begun {
	h.t.Helper()
	b, err := h.desks[0].Begin(h.t.Context(), ten, email)
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// prove goes on at another node, if there is one.
func (h *house) prove(box, code string) *registration.Proved {
	h.t.Helper()
	d := h.desks[len(h.desks)-1]
	proved, err := d.Prove(h.t.Context(), ten, box, code)
	if err != nil {
		h.t.Fatal(err)
	}
	p, err := d.Open(h.t.Context(), ten, proved)
	if err != nil {
		h.t.Fatal(err)
	}
	return p
}

func (h *house) finish(node int, p *registration.Proved) (u *directory.User, err error) {
	err = h.DB[node].Update(h.t.Context(), func(tx *fsm.Tx) (err error) {
		u, err = h.desks[node].Finish(tx, ten, p, "Bob", "de")
		return err
	})
	return u, err
}

func TestRegistration(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.decide(func(s *settings.Authentication) { s.Registration.Groups = []string{h.group} })
	before := h.Entries()
	for i, take := range []func(*registration.Begun) string{
		func(b *registration.Begun) string { return b.Code },
		func(b *registration.Begun) string { return b.Token },
	} {
		email := []string{"bob@example.com", "o'neill@example.com"}[i]
		b := h.begin(" " + email)
		if b.To != email || b.Taken {
			t.Errorf("%+v", b)
		}
		p := h.prove(b.Box, take(b))
		if i == 0 && h.Entries() != before {
			t.Error("something is stored before there is an account")
		}
		u, err := h.finish(1, p)
		if err != nil {
			t.Fatal(err)
		}
		if u.Email != email || !u.EmailVerified || u.Name != "Bob" || u.Locale != "de" || u.Admin || i == 0 && u.Username != email {
			t.Errorf("%+v", u)
		}
		h.do(func(tx *fsm.Tx) error {
			groups, err := directory.GroupsOf(tx, ten, u.ID)
			if len(groups) != 1 {
				t.Errorf("%+v", groups)
			}
			events, _, err2 := event.List(tx, ten, event.Query{Type: string(event.UserRegistered)})
			if len(events) != i+1 || events[0].Target.ID != u.ID {
				t.Errorf("%+v", events)
			}
			return errors.Join(err, err2)
		})
		if _, err := h.finish(0, p); !errors.Is(err, fsm.ErrExists) {
			t.Errorf("twice: %v", err)
		}
	}
}

// TestNobodyLearnsWhoIsHere: an address that is somebody's is answered like any other, and
// nothing is ever right for it.
func TestNobodyLearnsWhoIsHere(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	free, taken := h.begin("bob@example.com"), h.begin("ANN@example.com")
	if len(free.Box) != len(taken.Box) || len(free.Code) != len(taken.Code) || !taken.Taken {
		t.Errorf("%+v\n%+v", free, taken)
	}
	wrong := "000000"
	if free.Code == wrong {
		wrong = "000001"
	}
	// The same answers to the same guesses, the limit included.
	for i := range 7 {
		_, of := h.desks[0].Prove(t.Context(), ten, free.Box, wrong)
		guess := wrong
		if i == 0 {
			guess = taken.Code
		}
		_, os := h.desks[0].Prove(t.Context(), ten, taken.Box, guess)
		if of == nil || os == nil || of.Error() != os.Error() {
			t.Errorf("guess %d: %v and %v", i, of, os)
		}
	}
	for _, email := range []string{"bob@example.com", "ann@example.com"} {
		if got, err := h.desks[0].Address(t.Context(), ten, h.begin(email).Box); got != email || err != nil {
			t.Errorf("%q %v", got, err)
		}
	}
}

func TestRegistrationIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	refused := func(email string, want error) {
		t.Helper()
		if _, err := h.desks[0].Begin(t.Context(), ten, email); !errors.Is(err, want) {
			t.Errorf("%q: %v", email, err)
		}
	}
	for _, email := range []string{"", "bob", "bob@", "a b@example.com"} {
		refused(email, identity.ErrInvalid)
	}
	b := h.begin("bob@example.com")
	p := h.prove(b.Box, b.Code)
	h.decide(func(s *settings.Authentication) { s.Registration.Domains = []string{"example.org"} })
	refused("bob@example.com", identity.ErrInvalid)
	refused("bob@sub.example.org", identity.ErrInvalid)
	h.begin("bob@EXAMPLE.org")
	if _, err := h.finish(0, p); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a domain that is not admitted any more: %v", err)
	}
	h.decide(func(s *settings.Authentication) { s.SelfRegistration = false })
	refused("bob@example.com", identity.ErrDenied)
	if _, err := h.finish(0, p); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("closed meanwhile: %v", err)
	}
}

func TestBoxesAreForOneThing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	b, other := h.begin("bob@example.com"), h.begin("eve@example.com")
	d, ctx := h.desks[0], t.Context()
	proved, err := d.Prove(ctx, ten, b.Box, b.Code)
	if err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another's code":            second(d.Prove(ctx, ten, other.Box, b.Token)),
		"a box that is not proved":  second(d.Open(ctx, ten, b.Box)),
		"a proved one as the first": second(d.Prove(ctx, ten, proved, b.Code)),
		"another tenant's":          second(d.Open(ctx, "ten_other", proved)),
		"none":                      second(d.Open(ctx, ten, "")),
		"nonsense":                  second(d.Open(ctx, ten, "AAAA")),
		"too much":                  second(d.Open(ctx, ten, string(make([]byte, 10_000)))),
	} {
		if !errors.Is(err, registration.ErrDead) && !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	h.Advance(registration.Lifetime + time.Second)
	h.do(func(tx *fsm.Tx) error { return event.Append(tx, event.Event{Type: event.KeyRetired}) })
	if _, err := d.Prove(ctx, ten, b.Box, b.Code); !errors.Is(err, registration.ErrDead) {
		t.Errorf("late: %v", err)
	}
	if _, err := d.Open(ctx, ten, proved); !errors.Is(err, registration.ErrDead) {
		t.Errorf("late: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// TestOneAddressOneAccount: whoever races on two nodes, one account is made.
func TestOneAddressOneAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for i := range 100 {
		b := h.begin("bob" + string(rune('a'+i%26)) + string(rune('a'+i/26)) + "@example.com")
		p := h.prove(b.Box, b.Code)
		var all sync.WaitGroup
		errs := make([]error, 2)
		for n := range errs {
			all.Go(func() { _, errs[n] = h.finish(n, p) })
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), fsm.ErrExists) {
			t.Fatalf("%v", errs)
		}
	}
}

// TestOneRegistrationOneAccount: when its account is gone, or has another address, what proved the
// address makes no other, nor does the same code once more. The address is free for who proves it.
func TestOneRegistrationOneAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	b := h.begin("bob@example.com")
	p, again := h.prove(b.Box, b.Code), h.prove(b.Box, b.Code)
	u, err := h.finish(0, p)
	if err != nil {
		t.Fatal(err)
	}
	dead := func(what string) {
		t.Helper()
		for node := range h.desks {
			for _, p := range []*registration.Proved{p, again} {
				if _, err := h.finish(node, p); !errors.Is(err, registration.ErrDead) {
					t.Errorf("%s: %v", what, err)
				}
			}
		}
	}
	h.do(func(tx *fsm.Tx) error { return moved(tx, u.ID, "bobby") })
	dead("the address changed")
	h.do(func(tx *fsm.Tx) error { return directory.DeleteUser(tx, ten, u.ID, 0) })
	dead("deleted")
	h.Pass(t, registration.Lifetime-time.Minute)
	dead("a day later")
	b = h.begin("bob@example.com")
	if _, err := h.finish(1, h.prove(b.Box, b.Code)); err != nil {
		t.Errorf("proved anew: %v", err)
	}
}

// TestBoxOfAnOlderNode: it says when it ends, and so when the address was proved.
func TestBoxOfAnOlderNode(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	proved := h.DB[0].Now().Add(-time.Hour)
	box, err := note.Seal(h.rings[0], h.rings[0].Passing("registration proved"), ten, &registration.Proved{
		ID: "reg_1", Email: "bob@example.com", Expires: proved.Add(registration.Lifetime),
	})
	if err != nil {
		t.Fatal(err)
	}
	p, err := h.desks[0].Open(t.Context(), ten, box)
	if err != nil || p.At.Sub(proved).Abs() > time.Second {
		t.Errorf("%+v %v, want %v", p, err, proved)
	}
}

// moved gives a user another name and address.
func moved(tx *fsm.Tx, id, name string) error {
	_, err := directory.UpdateUser(tx, ten, id, 0, func(u *directory.User) error {
		u.Username, u.Email = name, name+"@example.com"
		return nil
	})
	return err
}

// TestOneRegistrationRaced: whoever races with one on two nodes, one account is made, though its
// address is free again at once.
func TestOneRegistrationRaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for i := range 100 {
		b := h.begin("bob@example.com")
		p := h.prove(b.Box, b.Token)
		var all sync.WaitGroup
		errs := make([]error, 2)
		for n := range errs {
			all.Go(func() {
				errs[n] = h.DB[n].Update(t.Context(), func(tx *fsm.Tx) error {
					u, err := h.desks[n].Finish(tx, ten, p, "Bob", "de")
					if err != nil {
						return err
					}
					return moved(tx, u.ID, fmt.Sprint("bob", i, "at", n))
				})
			})
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), registration.ErrDead) {
			t.Fatalf("%v", errs)
		}
	}
}

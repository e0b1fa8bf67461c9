package authn_test

import (
	"errors"
	"sync"
	"testing"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

func makes(name string) func(tx *fsm.Tx) (string, []assurance.Factor, error) {
	return func(tx *fsm.Tx) (string, []assurance.Factor, error) {
		u, err := directory.CreateUser(tx, ten, directory.User{Username: name})
		if err != nil {
			return "", nil, err
		}
		return u.ID, []assurance.Factor{{Method: assurance.Password}}, nil
	}
}

// TestJoin: whoever makes themselves an account is signed in with it, and led on as after any
// sign-in; the flow is spent.
func TestJoin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ctx := from(t, "192.0.2.1")
	n := h.nodes[0]
	f := n.fresh(t, ctx)
	again := *f
	r, err := n.Join(ctx, f, makes("bob"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := n.sessions.Find(ctx, ten, r.Cookie)
	if err != nil || s.UserID != r.Session.UserID || !assurance.Has(s.Factors, assurance.Password) || s.Factors[0].At.IsZero() {
		t.Errorf("%+v %v", s, err)
	}
	if r.Step != authn.StepDone || r.ReturnTo == "" || r.Device == "" || r.Enrol != nil {
		t.Errorf("%+v", r)
	}
	if _, err := n.Join(ctx, &again, makes("eve")); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("the flow is used twice: %v", err)
	}
	if _, err := n.Join(ctx, n.fresh(t, ctx), makes("BOB")); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("a name that is taken: %v", err)
	}
	// Who is asked for a second factor is told so at once.
	h.update(t, 0, func(tx *fsm.Tx) error {
		s := settings.Default(ten)
		s.MFAPolicy = settings.MFAAny
		return settings.Put(tx, 0, s)
	})
	if r, err := n.Join(ctx, n.fresh(t, ctx), makes("eve")); err != nil || r.Enrol == nil {
		t.Errorf("%+v %v", r.Enrol, err)
	}
}

// TestJoinEndsWhoWasSignedIn: the browser is somebody else's from then on.
func TestJoinEndsWhoWasSignedIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	ctx := from(t, "192.0.2.1")
	n := h.nodes[0]
	ann, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	f := n.fresh(t, ctx)
	f.Browser.SessionID = ann.Session.ID
	bob, err := n.Join(ctx, f, makes("bob"))
	if err != nil || bob.Session.UserID == h.ann.ID || bob.Session.ID == ann.Session.ID {
		t.Fatalf("%+v %v", bob.Session, err)
	}
	if _, err := n.sessions.Find(ctx, ten, ann.Cookie); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("ann's session: %v", err)
	}
}

// TestJoinOnTwoNodes: of two who end one flow at once, one gets in, and one account is made.
func TestJoinOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	ctx := from(t, "192.0.2.1")
	for i := range 50 {
		sealed, binding := h.nodes[0].begin(t, ctx)
		errs := make([]error, 2)
		var all sync.WaitGroup
		flows := []*authn.Flow{h.nodes[0].load(t, ctx, sealed, binding), h.nodes[1].load(t, ctx, sealed, binding)}
		for k, n := range h.nodes {
			all.Go(func() {
				_, errs[k] = n.Join(ctx, flows[k], makes([]string{"a", "b"}[k]+string(rune('a'+i%26))+string(rune('a'+i/26))))
			})
		}
		all.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs...), authn.ErrDeadFlow) {
			t.Fatalf("%v", errs)
		}
	}
}

// TestNewcomersLeaveRoom: a first password is hashed in the room of strangers, whatever browser it
// comes from, so that who has one account already cannot keep out those who work here with others.
func TestNewcomersLeaveRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	device, err := n.try(t, ctx, authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	fine := func(*fsm.Tx) error { return nil }
	hash := func(inside func() error) error {
		f := n.fresh(t, ctx)
		f.Browser = authn.Browser{Device: device.Device}
		return n.Hash(ctx, f, fine, inside)
	}
	var fill func(room int) error
	fill = func(room int) error {
		if room > 0 {
			return hash(func() error { return fill(room - 1) })
		}
		if err := hash(func() error { t.Error("one too many is hashed"); return nil }); !errors.Is(err, identity.ErrLimited) {
			t.Errorf("one too many: %v", err)
		}
		if d := n.held(t, apart(1), authn.Browser{}, "nobody"); d == 0 {
			t.Error("a stranger finds room")
		}
		if d := limited(t, n, "192.0.2.1", authn.Browser{Device: device.Device}, "ann"); d != 0 {
			t.Errorf("ann, in her own browser, waits %v", d)
		}
		return nil
	}
	if err := fill(8); err != nil { // see newHouse
		t.Fatal(err)
	}
	if d := n.held(t, apart(1), authn.Browser{}, "nobody"); d != 0 {
		t.Errorf("when there is room again, a stranger waits %v", d)
	}
}

// TestNoHashForNothing: a flow that nobody can join with has nothing hashed, nor what may not be.
func TestNoHashForNothing(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx := from(t, "192.0.2.1")
	hash := func(f *authn.Flow, may error) error {
		return n.Hash(ctx, f, func(*fsm.Tx) error { return may }, func() error { t.Error("it is hashed"); return nil })
	}
	f := n.fresh(t, ctx)
	spent := *f
	if _, err := n.Join(ctx, f, makes("bob")); err != nil {
		t.Fatal(err)
	}
	if err := hash(&spent, nil); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("a spent flow: %v", err)
	}
	further := n.fresh(t, ctx)
	further.At = authn.StepMail
	if err := hash(further, nil); !errors.Is(err, authn.ErrDeadFlow) {
		t.Errorf("a flow that is further: %v", err)
	}
	if err := hash(n.fresh(t, ctx), identity.Exists("email", "is taken")); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("what may not be: %v", err)
	}
}

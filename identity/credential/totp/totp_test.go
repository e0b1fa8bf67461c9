package totp_test

import (
	"encoding/base32"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const (
	ten   = "ten_a"
	alice = "usr_alice"
	bob   = "usr_bob"
)

var label = totp.Label{Issuer: "Example", Account: "alice@example.org"}

type house struct {
	*fsmtest.Cluster
	rings []*seal.Ring
}

func newHouse(t testing.TB, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(totp.Tables, device.Tables, session.Tables, event.Tables, seal.Tables)...)}
	h.rings = sealtest.Rings(t, h.DB...)
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) view(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].View(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

// now is the time of the state.
func (h *house) now(t testing.TB) (now time.Time) {
	t.Helper()
	h.view(t, 0, func(tx *fsm.Tx) error { now = tx.Now(); return nil })
	return now
}

func (h *house) begin(t testing.TB, user string) (e *totp.Enrolment) {
	t.Helper()
	h.view(t, 0, func(tx *fsm.Tx) (err error) {
		e, err = totp.Begin(tx, h.rings[0], ten, user, label, totp.Parameters{})
		return err
	})
	return e
}

func (h *house) confirm(t testing.TB, node int, user, token, code, name string) (a *totp.App, err error) {
	err = h.DB[node].Update(t.Context(), func(tx *fsm.Tx) (err error) {
		a, err = totp.Confirm(tx, h.rings[node], ten, user, token, code, name)
		return err
	})
	return a, err
}

// enrol adds an app for a user and returns what its codes are.
func (h *house) enrol(t testing.TB, user, name string) (*totp.App, func(ahead int64) string) {
	t.Helper()
	e := h.begin(t, user)
	code := h.codes(t, e)
	a, err := h.confirm(t, 0, user, e.Token, code(0), name)
	if err != nil {
		t.Fatal(err)
	}
	return a, code
}

// codes computes codes as an app does that was typed the secret into.
func (h *house) codes(t testing.TB, e *totp.Enrolment) func(ahead int64) string {
	secret, err := base32.StdEncoding.DecodeString(strings.ReplaceAll(e.Secret.Reveal(), " ", ""))
	if err != nil || len(secret) != 20 {
		t.Fatalf("secret of %d bytes: %v", len(secret), err)
	}
	return func(ahead int64) string { return totp.Code(totp.Parameters{}, secret, h.now(t).Unix()/30+ahead) }
}

func (h *house) check(t testing.TB, node int, user, code string) (id string, step int64, err error) {
	verr := h.DB[node].View(t.Context(), func(tx *fsm.Tx) error {
		id, step, err = totp.Check(tx, h.rings[node], ten, user, code)
		return nil
	})
	return id, step, errors.Join(err, verr)
}

func (h *house) accept(t testing.TB, node int, user, id string, step int64) error {
	return h.DB[node].Update(t.Context(), func(tx *fsm.Tx) error { return totp.Accept(tx, ten, user, id, step) })
}

func TestEnrolment(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	before := h.Entries()
	e := h.begin(t, alice)
	if h.Entries() != before || len(e.Token) > 1024 {
		t.Errorf("beginning wrote %d entries; token of %d bytes", h.Entries()-before, len(e.Token))
	}
	code := h.codes(t, e)
	for _, c := range []struct{ user, token, code, name, field string }{
		{alice, e.Token, "000000" + code(0), "phone", "code"},
		{alice, e.Token, code(7), "phone", "code"},
		{alice, e.Token, "", "phone", "code"},
		{alice, e.Token, code(0), " \x00 ", "name"},
		{bob, e.Token, code(0), "phone", "token"},
		{alice, e.Token + "A", code(0), "phone", "token"},
		{alice, "", code(0), "phone", "token"},
		{alice, strings.Repeat("A", 1<<20), code(0), "phone", "token"},
	} {
		var told *identity.Error
		_, err := h.confirm(t, 0, c.user, c.token, c.code, c.name)
		if !errors.Is(err, identity.ErrInvalid) || !errors.As(err, &told) || told.Field != c.field {
			t.Errorf("%+v: %v", c, err)
		}
	}
	a, err := h.confirm(t, 1, alice, e.Token, " "+code(0)[:3]+" "+code(0)[3:], " Phone\x00 ")
	if err != nil {
		t.Fatal(err)
	}
	if a.Name != "Phone" || a.Created.IsZero() || !identity.ValidID(identity.PrefixTOTP, a.ID) {
		t.Errorf("%+v", a)
	}
	if again, err := h.confirm(t, 0, alice, e.Token, code(0), "other"); err != nil || again.ID != a.ID || again.Name != "Phone" {
		t.Errorf("a double click: %+v, %v", again, err)
	}
	if _, _, err := h.check(t, 0, alice, code(0)); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("the code that confirmed signs in: %v", err)
	}
	late := h.begin(t, alice)
	h.Pass(t, totp.EnrolmentLifetime)
	if _, err := h.confirm(t, 0, alice, late.Token, h.codes(t, late)(0), "late"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("after its lifetime: %v", err)
	}
	h.view(t, 1, func(tx *fsm.Tx) error {
		all, err := totp.List(tx, ten, alice)
		if len(all) != 1 || strings.Contains(string(all[0].Box), a.Name) {
			t.Errorf("%d apps", len(all))
		}
		return err
	})
}

func TestResumeShowsTheSame(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	e := h.begin(t, alice)
	h.view(t, 1, func(tx *fsm.Tx) error {
		again, err := totp.Resume(tx, h.rings[1], ten, alice, e.Token, label)
		if err != nil {
			return err
		}
		if again.Secret.Reveal() != e.Secret.Reveal() || again.URI.Reveal() != e.URI.Reveal() || again.QR != e.QR || !again.Expires.Equal(e.Expires) {
			t.Error("another secret, code or end")
		}
		_, err = totp.Resume(tx, h.rings[1], ten, bob, e.Token, label)
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("another user's: %v", err)
		}
		return nil
	})
}

func TestCheckAndAccept(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	phone, codeOfPhone := h.enrol(t, alice, "phone")
	tablet, codeOfTablet := h.enrol(t, alice, "tablet")
	h.Pass(t, 5*time.Minute)
	before := h.Entries()
	for ahead := int64(-3); ahead <= 3; ahead++ {
		id, step, err := h.check(t, 1, alice, codeOfTablet(ahead))
		inside := ahead >= -1 && ahead <= 1
		if inside != (err == nil) || inside && (id != tablet.ID || step != h.now(t).Unix()/30+ahead) {
			t.Errorf("%+d steps: %q %d %v", ahead, id, step, err)
		}
	}
	if id, _, err := h.check(t, 0, alice, codeOfPhone(0)); id != phone.ID || err != nil {
		t.Errorf("code of the phone: %q, %v", id, err)
	}
	for _, bad := range []string{"", "0", codeOfPhone(0) + "0", strings.Repeat("0", 1<<20)} {
		if _, _, err := h.check(t, 0, alice, bad); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%.20q: %v", bad, err)
		}
	}
	if _, _, err := h.check(t, 0, bob, codeOfPhone(0)); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("another user: %v", err)
	}
	if h.Entries() != before {
		t.Error("checking wrote to the log")
	}
	id, step, err := h.check(t, 0, alice, codeOfPhone(0))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.accept(t, 1, alice, id, step); err != nil {
		t.Fatal(err)
	}
	for _, s := range []int64{step, step - 1} {
		if err := h.accept(t, 0, alice, id, s); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("step %d after %d: %v", s, step, err)
		}
	}
	_, _, err = h.check(t, 1, alice, codeOfPhone(0))
	if told := identity.Errors(err); len(told) != 1 || !strings.Contains(told[0].Detail, "used already") {
		t.Errorf("replay: %v", err)
	}
	if _, _, err := h.check(t, 1, alice, codeOfTablet(0)); err != nil {
		t.Errorf("the other app is spent with it: %v", err)
	}
	if _, _, err := h.check(t, 0, alice, codeOfPhone(1)); err != nil {
		t.Errorf("the next code: %v", err)
	}
}

// In each of 1 000 races, four sign-ins on two nodes come with one code.
func TestStepsRaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	_, code := h.enrol(t, alice, "phone")
	races := 1000
	if testing.Short() {
		races = 100
	}
	for range races {
		h.Pass(t, 30*time.Second)
		c := code(0)
		var won atomic.Int32
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() {
				id, step, err := h.check(t, k%2, alice, c)
				if err == nil {
					err = h.accept(t, k%2, alice, id, step)
				}
				if err == nil {
					won.Add(1)
				} else if !errors.Is(err, identity.ErrUnauthenticated) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("a code was accepted %d times", won.Load())
		}
	}
}

func TestRenamingAndRemoving(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	phone, code := h.enrol(t, alice, "phone")
	h.Pass(t, time.Minute)
	h.update(t, 1, func(tx *fsm.Tx) error {
		if err := totp.Rename(tx, ten, alice, phone.ID, "phone"); err != nil {
			return err
		}
		return totp.Rename(tx, ten, alice, phone.ID, " old phone ")
	})
	for _, name := range []string{"", " \n "} {
		err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return totp.Rename(tx, ten, alice, phone.ID, name) })
		if !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, f := range []func(tx *fsm.Tx) error{
		func(tx *fsm.Tx) error { return totp.Rename(tx, ten, bob, phone.ID, "x") },
		func(tx *fsm.Tx) error { return totp.Remove(tx, ten, bob, phone.ID) },
	} {
		if err := h.DB[0].Update(t.Context(), f); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("another user's: %v", err)
		}
	}
	id, step, err := h.check(t, 0, alice, code(0))
	if err != nil {
		t.Fatal(err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		if _, _, err := device.Trust(tx, h.rings[0], ten, alice, "x", time.Hour); err != nil {
			return err
		}
		return totp.Remove(tx, ten, alice, id)
	})
	if err := h.accept(t, 1, alice, id, step); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("accepted after removal: %v", err)
	}
	want := []event.Type{
		event.FactorAdded, event.FactorRenamed, event.TrustedDeviceAdded, event.FactorRemoved, event.TrustedDeviceRevoked,
	}
	h.view(t, 1, func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, ten, event.Query{Oldest: true})
		var got []event.Type
		for _, e := range page {
			got = append(got, e.Type)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		return err
	})
}

func TestDeletingWithUserAndTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	has := func(user string) (n int) {
		h.view(t, 0, func(tx *fsm.Tx) error {
			all, err := totp.List(tx, ten, user)
			n = len(all)
			return err
		})
		return n
	}
	used := func() (ok bool) {
		h.view(t, 0, func(tx *fsm.Tx) (err error) {
			ok, err = totp.UsesSealingKey(tx, h.rings[0].CurrentKey())
			return err
		})
		return ok
	}
	for range 5 {
		h.enrol(t, alice, "phone")
	}
	sixth := h.begin(t, alice)
	if _, err := h.confirm(t, 0, alice, sixth.Token, h.codes(t, sixth)(0), "sixth"); !errors.Is(err, identity.ErrInvalid) {
		t.Errorf("a sixth app: %v", err)
	}
	h.enrol(t, bob, "phone")
	if !used() {
		t.Error("the sealing key seems unused")
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return totp.DeleteAllOf(tx, ten, alice) })
	if has(alice) != 0 || has(bob) != 1 {
		t.Error("apps outlive their user, or another's went")
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return totp.DeleteTenant(tx, ten) })
	if has(bob) != 0 || used() {
		t.Error("apps outlive their tenant")
	}
}

package recovery_test

import (
	"errors"
	"regexp"
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
	"github.com/quis-idp/quis/identity/credential/recovery"
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

type house struct {
	*fsmtest.Cluster
	rings []*seal.Ring
}

func newHouse(t testing.TB, n int) *house {
	t.Helper()
	h := &house{Cluster: fsmtest.NewCluster(t, n, slices.Concat(recovery.Tables, device.Tables, session.Tables, event.Tables, seal.Tables)...)}
	h.rings = sealtest.Rings(t, h.DB...)
	return h
}

func (h *house) update(t testing.TB, node int, fn func(tx *fsm.Tx) error) {
	t.Helper()
	if err := h.DB[node].Update(t.Context(), fn); err != nil {
		t.Fatal(err)
	}
}

func (h *house) generate(t testing.TB, user string) (codes []string) {
	t.Helper()
	h.update(t, 0, func(tx *fsm.Tx) (err error) {
		codes, err = recovery.Generate(tx, h.rings[0], ten, user)
		return err
	})
	return codes
}

func (h *house) check(t testing.TB, node int, tenant, user, code string) (proof []byte, err error) {
	verr := h.DB[node].View(t.Context(), func(tx *fsm.Tx) error {
		proof, err = recovery.Check(tx, h.rings[node], tenant, user, code)
		return nil
	})
	return proof, errors.Join(err, verr)
}

func (h *house) accept(t testing.TB, node int, user string, proof []byte) (left int, err error) {
	err = h.DB[node].Update(t.Context(), func(tx *fsm.Tx) (err error) {
		left, err = recovery.Accept(tx, ten, user, proof)
		return err
	})
	return left, err
}

func TestACodeIsGoodOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	codes := h.generate(t, alice)
	slices.Sort(codes)
	if len(slices.Compact(codes)) != recovery.Count {
		t.Fatalf("%d codes", len(codes))
	}
	form := regexp.MustCompile(`^[0-9a-hjkmnp-tv-z]{4}(-[0-9a-hjkmnp-tv-z]{4}){2}$`)
	for _, code := range codes {
		if !form.MatchString(code) {
			t.Errorf("code %q", code)
		}
	}
	before := h.Entries()
	spelled := []string{
		codes[0], strings.ToUpper(codes[0]), strings.ReplaceAll(codes[0], "-", ""), " " + strings.ReplaceAll(codes[0], "-", " ") + "\t",
		strings.ReplaceAll(strings.ReplaceAll(codes[0], "0", "O"), "1", "l"),
	}
	var proof []byte
	for _, s := range spelled {
		p, err := h.check(t, 1, ten, alice, s)
		if err != nil {
			t.Errorf("%q: %v", s, err)
		}
		proof = p
	}
	for _, c := range []struct{ tenant, user, code string }{
		{ten, bob, codes[0]}, {"ten_b", alice, codes[0]}, {ten, alice, ""}, {ten, alice, "0000-0000-0000"},
		{ten, alice, codes[0][:13]}, {ten, alice, codes[0] + "0"}, {ten, alice, strings.Repeat("0", 1<<20)},
	} {
		var told *identity.Error
		if _, err := h.check(t, 0, c.tenant, c.user, c.code); !errors.Is(err, identity.ErrUnauthenticated) || !errors.As(err, &told) {
			t.Errorf("%+v: %v", c.code, err)
		}
	}
	if h.Entries() != before {
		t.Error("checking codes wrote to the log")
	}
	if left, err := h.accept(t, 0, alice, proof); left != recovery.Count-1 || err != nil {
		t.Errorf("accept: %d left, %v", left, err)
	}
	if _, err := h.accept(t, 1, alice, proof); !errors.Is(err, identity.ErrUnauthenticated) || len(identity.Errors(err)) != 1 {
		t.Errorf("accepted twice: %v", err)
	}
	if _, err := h.check(t, 1, ten, alice, codes[0]); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("checked after use: %v", err)
	}
	if _, err := h.accept(t, 0, bob, proof); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("accepted for another: %v", err)
	}
}

func TestANewSetReplacesTheFormer(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	old := h.generate(t, alice)
	proof, err := h.check(t, 1, ten, alice, old[3])
	if err != nil {
		t.Fatal(err)
	}
	fresh := h.generate(t, alice)
	if _, err := h.accept(t, 1, alice, proof); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("a code of the former set, checked before the new one was made: %v", err)
	}
	if _, err := h.check(t, 0, ten, alice, fresh[3]); err != nil {
		t.Error(err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error {
		if _, _, err := device.Trust(tx, h.rings[0], ten, alice, "x", time.Hour); err != nil {
			return err
		}
		return recovery.Remove(tx, ten, alice)
	})
	h.update(t, 0, func(tx *fsm.Tx) error {
		s, err := recovery.Get(tx, ten, alice)
		trusted, derr := device.List(tx, ten, alice)
		if s != nil || len(trusted) != 0 {
			t.Errorf("after removal: %+v, %d trusted devices", s, len(trusted))
		}
		return errors.Join(err, derr)
	})
	err = h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return recovery.Remove(tx, ten, alice) })
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	want := []event.Type{
		event.RecoveryCodesCreated, event.RecoveryCodesCreated, event.TrustedDeviceAdded, event.FactorRemoved, event.TrustedDeviceRevoked,
	}
	if diff := cmp.Diff(want, h.news(t)); diff != "" {
		t.Error(diff)
	}
}

func (h *house) news(t testing.TB) (types []event.Type) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		page, _, err := event.List(tx, ten, event.Query{Oldest: true})
		for _, e := range page {
			types = append(types, e.Type)
			for _, v := range e.Data {
				if strings.Count(v, "-") == 2 {
					t.Errorf("a code in an event: %+v", e)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return types
}

// Each of 1 000 codes is raced for by two nodes, twice on each.
func TestCodesRaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	races := 1000
	if testing.Short() {
		races = 100
	}
	for range races / recovery.Count {
		for i, code := range h.generate(t, alice) {
			var won atomic.Int32
			var wg sync.WaitGroup
			for k := range 4 {
				wg.Go(func() {
					proof, err := h.check(t, k%2, ten, alice, code)
					if err == nil {
						var left int
						if left, err = h.accept(t, k%2, alice, proof); err == nil && left != recovery.Count-1-i {
							t.Errorf("code %d: %d left", i, left)
						}
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
}

func TestDeletingWithUserAndTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	has := func(user string) (s *recovery.Set) {
		h.update(t, 0, func(tx *fsm.Tx) (err error) {
			s, err = recovery.Get(tx, ten, user)
			return err
		})
		return s
	}
	used := func() (ok bool) {
		h.update(t, 0, func(tx *fsm.Tx) (err error) {
			ok, err = recovery.UsesSealingKey(tx, h.rings[0].CurrentKey())
			return err
		})
		return ok
	}
	h.generate(t, alice)
	h.generate(t, bob)
	if s := has(alice); s == nil || s.Left() != recovery.Count || !used() {
		t.Fatalf("%+v", s)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return recovery.DeleteAllOf(tx, ten, alice) })
	if has(alice) != nil || has(bob) == nil {
		t.Error("codes outlive their user, or another's went")
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return recovery.DeleteTenant(tx, ten) })
	if has(bob) != nil || used() {
		t.Error("codes outlive their tenant")
	}
}

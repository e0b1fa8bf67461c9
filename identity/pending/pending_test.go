package pending_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/pending"
	"github.com/quis-idp/quis/identity/regain"
	"github.com/quis-idp/quis/keys/seal"
)

const ten = identity.DefaultTenant

type house struct {
	*fsmtest.Cluster
	t *testing.T
}

func newHouse(t *testing.T, n int) *house {
	t.Helper()
	h := &house{fsmtest.NewCluster(t, n, slices.Concat(seal.Tables, event.Tables, directory.Tables, regain.Tables, pending.Tables)...), t}
	h.do(directory.EnsureDefault)
	return h
}

func (h *house) do(fn func(*fsm.Tx) error) {
	h.t.Helper()
	if err := h.DB[0].Update(h.t.Context(), fn); err != nil {
		h.t.Fatal(err)
	}
}

// try returns what fn reports.
func (h *house) try(fn func(*fsm.Tx) error) error { return h.DB[0].Update(h.t.Context(), fn) }

func (h *house) invite(i pending.Invitation) (secret string) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) (err error) {
		_, secret, err = pending.Invite(tx, ten, i, time.Hour)
		return err
	})
	return secret
}

func (h *house) user(u directory.User) (id string) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) error {
		made, err := directory.CreateUser(tx, ten, u)
		if err == nil {
			id = made.ID
		}
		return err
	})
	return id
}

func (h *house) get(id string) (u *directory.User) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) (err error) {
		u, _, err = directory.GetUser(tx, ten, id)
		return err
	})
	return u
}

func accept(secret string, a pending.Acceptance) func(*fsm.Tx) error {
	return func(tx *fsm.Tx) error {
		_, err := pending.Accept(tx, ten, secret, a)
		return err
	}
}

func TestInvitation(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	var group string
	h.do(func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, ten, directory.Group{Name: "staff"})
		if err == nil {
			group = g.ID
		}
		return err
	})
	secret := h.invite(pending.Invitation{Email: "ann@example.com", Name: "Ann", Groups: []string{group}, Mailed: true})
	var u *directory.User
	h.do(func(tx *fsm.Tx) (err error) {
		if u, err = pending.Accept(tx, ten, secret, pending.Acceptance{Username: "ann", GivenName: "Ann"}); err != nil {
			return err
		}
		groups, err := directory.GroupsOf(tx, ten, u.ID)
		if len(groups) != 1 {
			t.Errorf("%+v", groups)
		}
		return err
	})
	if u.Username != "ann" || u.Email != "ann@example.com" || !u.EmailVerified || u.Name != "Ann" || u.GivenName != "Ann" || u.Admin {
		t.Errorf("%+v", u)
	}
	if err := h.try(accept(secret, pending.Acceptance{Username: "bob"})); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("used twice: %v", err)
	}
	for _, bad := range []string{"", "x", secret[:42], secret + "x"} {
		if err := h.try(accept(bad, pending.Acceptance{})); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestInvitationIsRefusedWhereItCouldNotBeAccepted(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.user(directory.User{Username: "ann", Email: "ann@example.com"})
	for _, c := range []struct {
		i        pending.Invitation
		lifetime time.Duration
		want     error
	}{
		{pending.Invitation{Email: "ann@example.com"}, time.Hour, fsm.ErrExists},
		{pending.Invitation{Email: "bob@example.com", Username: "ANN"}, time.Hour, fsm.ErrExists},
		{pending.Invitation{Email: "bob"}, time.Hour, identity.ErrInvalid},
		{pending.Invitation{}, time.Hour, identity.ErrInvalid},
		{pending.Invitation{Email: "bob@example.com"}, time.Second, identity.ErrInvalid},
		{pending.Invitation{Email: "bob@example.com"}, 31 * 24 * time.Hour, identity.ErrInvalid},
		{pending.Invitation{Email: "bob@example.com", Groups: []string{"grp_none"}}, time.Hour, fsm.ErrNotFound},
	} {
		err := h.try(func(tx *fsm.Tx) error {
			_, _, err := pending.Invite(tx, ten, c.i, c.lifetime)
			return err
		})
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: %v", c.i, err)
		}
	}
}

func TestInvitationEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	secret := h.invite(pending.Invitation{Email: "ann@example.com"})
	taken := h.invite(pending.Invitation{Email: "bob@example.com"})
	h.do(func(tx *fsm.Tx) error {
		rows, next, err := pending.ListInvitations(tx, ten, "", 1)
		if err != nil || len(rows) != 1 || next == "" || rows[0].Email != "ann@example.com" {
			t.Errorf("%+v %q %v", rows, next, err)
		}
		rows, _, err = pending.ListInvitations(tx, ten, next, 1)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v %v", rows, err)
		}
		return pending.Uninvite(tx, ten, rows[0].ID)
	})
	if err := h.try(accept(taken, pending.Acceptance{})); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("taken back: %v", err)
	}
	h.Advance(2 * time.Hour)
	h.do(func(tx *fsm.Tx) error { // time goes on with an entry
		_, err := directory.CreateGroup(tx, ten, directory.Group{Name: "tick"})
		return err
	})
	if err := h.try(accept(secret, pending.Acceptance{})); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("expired: %v", err)
	}
}

// TestInvitationIsAcceptedOnce: whoever races for it on two nodes, one account is made.
func TestInvitationIsAcceptedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for range 1000 {
		secret := h.invite(pending.Invitation{Email: "ann@example.com"})
		won := race(h, func(ctx context.Context, db *fsm.DB, name string) error {
			return db.Update(ctx, accept(secret, pending.Acceptance{Username: name}))
		})
		if won != 1 {
			t.Fatalf("accepted %d times", won)
		}
		h.do(func(tx *fsm.Tx) error {
			u, err := directory.UserByEmail(tx, ten, "ann@example.com")
			if err != nil {
				return err
			}
			return directory.DeleteUser(tx, ten, u.ID, 0)
		})
	}
}

func race(h *house, fn func(context.Context, *fsm.DB, string) error) (won int) {
	h.t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, 2)
	for i := range errs {
		wg.Go(func() { errs[i] = fn(h.t.Context(), h.DB[i], []string{"ann", "bob"}[i]) })
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, fsm.ErrNotFound) {
			h.t.Errorf("%v", err)
		}
	}
	return won
}

func (h *house) begin(user, to string) (toOld, toNew string) {
	h.t.Helper()
	h.do(func(tx *fsm.Tx) error {
		b, err := pending.BeginEmailChange(tx, ten, user, to)
		if err == nil {
			toOld, toNew = b.ToOld, b.ToNew
		}
		return err
	})
	return toOld, toNew
}

func (h *house) confirm(secret string) (done bool, err error) {
	err = h.try(func(tx *fsm.Tx) (err error) {
		_, done, err = pending.ConfirmEmailChange(tx, ten, secret)
		return err
	})
	return done, err
}

func TestEmailChangeNeedsBothProofs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for i, reversed := range []bool{false, true} {
		old := []string{"ann@example.com", "bob@example.com"}[i]
		id := h.user(directory.User{Username: old, Email: old, EmailVerified: true})
		a, b := h.begin(id, "new-"+old)
		if reversed {
			a, b = b, a
		}
		if done, err := h.confirm(a); done || err != nil || h.get(id).Email != old {
			t.Errorf("%v %v", done, err)
		}
		if _, err := h.confirm(a); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("twice: %v", err)
		}
		if done, err := h.confirm(b); !done || err != nil {
			t.Errorf("%v %v", done, err)
		}
		if u := h.get(id); u.Email != "new-"+old || !u.EmailVerified || u.Username != "new-"+old {
			t.Errorf("%+v", u)
		}
	}
}

func TestEmailChangeOfAnAddressThatWasNeverProved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	id := h.user(directory.User{Username: "ann", Email: "typo@example.com"})
	toOld, toNew := h.begin(id, "ann@example.com")
	if toOld != "" {
		t.Error("whoever has an address that was mistyped would have a say")
	}
	if done, err := h.confirm(toNew); !done || err != nil {
		t.Errorf("%v %v", done, err)
	}
}

func TestEmailChangeEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	id := h.user(directory.User{Username: "ann", Email: "ann@example.com", EmailVerified: true})
	other := h.user(directory.User{Username: "bob", Email: "bob@example.com"})
	for _, to := range []string{"", "nonsense", "ANN@example.com"} {
		if err := h.try(func(tx *fsm.Tx) error {
			_, err := pending.BeginEmailChange(tx, ten, id, to)
			return err
		}); err == nil {
			t.Errorf("%q passes", to)
		}
	}
	own, none := h.begin(id, "bob@example.com") // of somebody else: it waits as if it were not
	if done, err := h.confirm(own); own == "" || none != "" || done || err != nil {
		t.Errorf("%q %q %v %v", own, none, done, err)
	}
	first, _ := h.begin(id, "a@example.com")
	old, next := h.begin(id, "b@example.com")
	if _, err := h.confirm(first); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("of a change that another took the place of: %v", err)
	}
	if _, err := h.confirm(old); err != nil {
		t.Error(err)
	}
	h.do(func(tx *fsm.Tx) error { // somebody else gets the address meanwhile
		_, err := directory.UpdateUser(tx, ten, other, 0, func(u *directory.User) error { u.Email = "b@example.com"; return nil })
		return err
	})
	if _, err := h.confirm(next); !errors.Is(err, fsm.ErrExists) {
		t.Errorf("an address of somebody else: %v", err)
	}
	h.do(func(tx *fsm.Tx) error { return pending.CancelEmailChange(tx, ten, id) })
	if _, err := h.confirm(next); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("cancelled: %v", err)
	}
}

func TestEmailChangeIsConfirmedOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	id := h.user(directory.User{Username: "ann"})
	for i := range 50 {
		_, toNew := h.begin(id, string(rune('a'+i%26))+"x"+string(rune('a'+i/26))+"@example.com")
		if won := race(h, func(ctx context.Context, db *fsm.DB, _ string) error {
			return db.Update(ctx, func(tx *fsm.Tx) error {
				_, _, err := pending.ConfirmEmailChange(tx, ten, toNew)
				return err
			})
		}); won != 1 {
			t.Fatalf("confirmed %d times", won)
		}
		h.do(func(tx *fsm.Tx) error {
			_, err := directory.UpdateUser(tx, ten, id, 0, func(u *directory.User) error { u.Email, u.EmailVerified = "", false; return nil })
			return err
		})
	}
}

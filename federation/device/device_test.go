package device_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

func TestUserCodesReadAsPeopleTypeThem(t *testing.T) {
	t.Parallel()
	for typed, want := range map[string]string{
		"WDJB-MJHT": "WDJBMJHT", "wdjbmjht": "WDJBMJHT", " wdjb mjht ": "WDJBMJHT", "WDJB\u2013MJHT": "WDJBMJHT",
		"w-d-j-b-m-j-h-t": "WDJBMJHT", "WDJB.MJHT": "WDJBMJHT", "WDJB\u00a0MJHT": "WDJBMJHT",
		"WDJB-MJH": "", "WDJB-MJHTT": "", "WDJB-MJHA": "", "WDJB-MJH0": "", "": "", "\u212aDJBMJHT": "", "WDJB\x00MJHT": "",
		strings.Repeat("-", 60) + "WDJBMJHT": "",
	} {
		got, ok := device.ParseUserCode(typed)
		if ok != (want != "") || ok && got != want {
			t.Errorf("%q reads as %q, %v", typed, got, ok)
		}
	}
	if got := device.ShowUserCode("WDJBMJHT"); got != "WDJB-MJHT" {
		t.Errorf("shown as %q", got)
	}
}

func TestStartAndDecideAreOneEntryEach(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	before := h.Entries()
	a := h.start(t)
	if n := h.Entries() - before; n != 1 {
		t.Errorf("a start is %d entries", n)
	}
	before = h.Entries()
	h.update(t, 0, func(tx *fsm.Tx) error { return device.Approve(tx, tenant, a.Family, h.session) })
	if n := h.Entries() - before; n != 1 {
		t.Errorf("an approval is %d entries", n)
	}
	got, err := h.get(t, 0, a.Family)
	if err != nil || got.State != device.Approved || got.UserID != h.session.UserID || got.SessionID != h.session.ID || got.Index == 0 {
		t.Errorf("approved as %+v: %v", got, err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return device.Spend(tx, tenant, a.Family) })
	if _, err := h.get(t, 0, a.Family); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("after the exchange: %v", err)
	}
}

func TestUserCodeIsOfItsTenantAndWhilePending(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.start(t)
	find := func(tenant string) error {
		return h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			_, err := device.ByUserCode(tx, tenant, a.UserCode)
			return err
		})
	}
	if err := find(tenant); err != nil {
		t.Fatal(err)
	}
	if err := find("ten_other"); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("in another tenant: %v", err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return device.Deny(tx, tenant, a.Family, h.session) })
	if err := find(tenant); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("once decided: %v", err)
	}
}

func TestRefusesApprovalAfterItsTime(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.start(t)
	h.Advance(device.Lifetime + 1)
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Approve(tx, tenant, a.Family, h.session) })
	if !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("approved after its time: %v", err)
	}
}

func TestRefusesApprovalByWhoMayNotUseTheApplication(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.start(t)
	h.update(t, 0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant, h.app.ID, 0, func(app *federation.Application) error {
			app.AccessRestricted = true
			return nil
		})
		return err
	})
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Approve(tx, tenant, a.Family, h.session) })
	if !errors.Is(err, identity.ErrDenied) {
		t.Errorf("approved by who may not: %v", err)
	}
	if got, _ := h.get(t, 0, a.Family); got.State != device.Pending {
		t.Errorf("state %d", got.State)
	}
}

func TestRefusesSpendingWhatIsNotApproved(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.start(t)
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Spend(tx, tenant, a.Family) })
	if !errors.Is(err, identity.ErrDenied) {
		t.Errorf("a pending one was spent: %v", err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return device.Deny(tx, tenant, a.Family, h.session) })
	err = h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Spend(tx, tenant, a.Family) })
	if !errors.Is(err, identity.ErrDenied) {
		t.Errorf("a denied one was spent: %v", err)
	}
}

// One of an approval and a refusal on two nodes wins, and the other is told.
func TestRacesOfApprovalAndDenialHaveOneWinner(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	decide := []func(*fsm.Tx, *device.Authorization) error{
		func(tx *fsm.Tx, a *device.Authorization) error {
			return device.Approve(tx, tenant, a.Family, h.session)
		},
		func(tx *fsm.Tx, a *device.Authorization) error { return device.Deny(tx, tenant, a.Family, h.session) },
	}
	for round := range 200 {
		a := h.start(t)
		var errs [2]error
		var all sync.WaitGroup
		for i := range errs {
			all.Go(func() {
				errs[i] = h.DB[i].Update(t.Context(), func(tx *fsm.Tx) error { return decide[(i+round)%2](tx, a) })
			})
		}
		all.Wait()
		won := -1
		for i, err := range errs {
			switch {
			case err == nil && won < 0:
				won = (i + round) % 2
			case err == nil:
				t.Fatal("both have decided")
			case !errors.Is(err, device.ErrDecided):
				t.Fatalf("the loser is told %v", err)
			}
		}
		got, err := h.get(t, 1, a.Family)
		if err != nil || won < 0 || got.State != []device.State{device.Approved, device.Denied}[won] {
			t.Fatalf("%d has won, state %+v: %v", won, got, err)
		}
	}
}

func TestRefusesApprovalWithASessionOfAnotherTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.start(t)
	s := session.Session{ID: "ses_2", Tenant: "ten_other", UserID: h.session.UserID}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Approve(tx, tenant, a.Family, &s) })
	if !errors.Is(err, identity.ErrDenied) {
		t.Errorf("approved from another tenant: %v", err)
	}
}

func FuzzUserCode(f *testing.F) {
	f.Add("WDJB-MJHT")
	f.Add("wdjb\u2014mjht")
	f.Fuzz(func(t *testing.T, typed string) {
		code, ok := device.ParseUserCode(typed)
		if !ok {
			return
		}
		if again, ok := device.ParseUserCode(device.ShowUserCode(code)); !ok || again != code || len(code) != 8 {
			t.Errorf("%q reads as %q, and that as %q", typed, code, again)
		}
	})
}

func TestRefusesApprovalInSomebodyElsesName(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a := h.start(t)
	s := *h.session
	s.Impersonation = &session.Impersonation{UserID: "usr_admin", Tenant: tenant, Reason: "x"}
	err := h.DB[0].Update(t.Context(), func(tx *fsm.Tx) error { return device.Approve(tx, tenant, a.Family, &s) })
	if !errors.Is(err, identity.ErrDenied) {
		t.Errorf("approved: %v", err)
	}
	if got, _ := h.get(t, 0, a.Family); got.State != device.Pending {
		t.Errorf("state %d", got.State)
	}
}

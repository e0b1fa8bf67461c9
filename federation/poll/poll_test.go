package poll_test

import (
	"errors"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

const tenant = identity.DefaultTenant

func newRing(t testing.TB) (*fsm.DB, *seal.Ring) {
	t.Helper()
	db := fsmtest.New(t, append(seal.Tables, poll.Tables...)...)
	ring := sealtest.Ring(t, db)
	return db, ring
}

func TestCodeIsAFunctionOfItsArguments(t *testing.T) {
	t.Parallel()
	_, ring := newRing(t)
	id := family.NewID()
	a, err := poll.Device.Code(ring, tenant, "tv", id, ring.CurrentKey())
	if err != nil {
		t.Fatal(err)
	}
	if b, _ := poll.Device.Code(ring, tenant, "tv", id, ring.CurrentKey()); a != b {
		t.Error("asked twice, it is two codes")
	}
	got, err := poll.Device.Parse(ring, tenant, "tv", a)
	if err != nil || got != id {
		t.Errorf("read back as %v: %v", got, err)
	}
}

func TestRefusesCodeOfAnotherKindTenantOrClient(t *testing.T) {
	t.Parallel()
	_, ring := newRing(t)
	code, err := poll.Device.Code(ring, tenant, "tv", family.NewID(), ring.CurrentKey())
	if err != nil {
		t.Fatal(err)
	}
	for what, f := range map[string]func() (family.ID, error){
		"kind":   func() (family.ID, error) { return poll.CIBA.Parse(ring, tenant, "tv", code) },
		"tenant": func() (family.ID, error) { return poll.Device.Parse(ring, "ten_other", "tv", code) },
		"client": func() (family.ID, error) { return poll.Device.Parse(ring, tenant, "radio", code) },
		"seam":   func() (family.ID, error) { return poll.Device.Parse(ring, tenant+"\x00t", "v", code) },
		"cut":    func() (family.ID, error) { return poll.Device.Parse(ring, tenant, "tv", code[:40]) },
	} {
		if _, err := f(); !errors.Is(err, seal.ErrBox) {
			t.Errorf("%s: %v, want ErrBox", what, err)
		}
	}
}

func TestPaceGrowsWithEachEarlyPoll(t *testing.T) {
	t.Parallel()
	p, id, now := poll.NewPace(), family.NewID(), time.Now()
	if p.Poll(id, now) {
		t.Fatal("the first poll is too early")
	}
	if now = now.Add(poll.Interval); p.Poll(id, now) {
		t.Fatal("a poll in time is too early")
	}
	for range 3 { // 10, 15, 20 seconds from here on
		if now = now.Add(time.Second); !p.Poll(id, now) {
			t.Fatal("a poll after a second is in time")
		}
	}
	if now = now.Add(15 * time.Second); !p.Poll(id, now) {
		t.Error("the interval has not grown")
	}
	if now = now.Add(25 * time.Second); p.Poll(id, now) {
		t.Error("the grown interval, kept, is too early")
	}
	for range 100 {
		p.Poll(id, now)
	}
	if now = now.Add(time.Minute); p.Poll(id, now) {
		t.Error("the interval has no end")
	}
	p.Done(id)
	if p.Poll(id, now) {
		t.Error("what is over is remembered")
	}
}

func TestLimitHoldsOverBothWindows(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, poll.Tables...)
	db := c.DB[0]
	l := poll.Limit{Kind: poll.Device, PerApplication: 10, PerFrom: 4}
	begin := func(s poll.Starter) error {
		if err := db.View(t.Context(), func(tx *fsm.Tx) error { return l.Check(tx, s) }); err != nil {
			return err
		}
		return db.Update(t.Context(), func(tx *fsm.Tx) error { return l.Note(tx, s) })
	}
	a := poll.Starter{Tenant: tenant, Application: "app", Network: "192.0.2.1"}
	for i := range 4 {
		if err := begin(a); err != nil {
			t.Fatalf("start %d: %v", i, err)
		}
	}
	if err := begin(a); !errors.Is(err, identity.ErrLimited) {
		t.Fatalf("fifth from one network: %v", err)
	}
	b := a
	b.Network = "192.0.2.2"
	for i := range 3 {
		if err := begin(b); err != nil {
			t.Fatalf("start %d from elsewhere: %v", i, err)
		}
	}
	other := a
	other.Tenant = "ten_other"
	if err := begin(other); err != nil {
		t.Errorf("another tenant's: %v", err)
	}
	c.Advance(3 * poll.Window)
	if err := begin(b); err != nil { // brings the time with it
		t.Fatal(err)
	}
	if err := begin(a); err != nil {
		t.Errorf("after the window: %v", err)
	}
}

func FuzzCode(f *testing.F) {
	_, ring := newRing(f)
	code, err := poll.Device.Code(ring, tenant, "tv", family.NewID(), ring.CurrentKey())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(code)
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := poll.Device.Parse(ring, tenant, "tv", text)
		if err == nil && text != code {
			t.Errorf("%q passes for a code of %v", text, id)
		}
	})
}

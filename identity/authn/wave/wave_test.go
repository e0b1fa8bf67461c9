package wave_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/authn/wave"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

func TestPaces(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind                string
		failed, passed, all int64
		want                time.Duration
	}{
		{wave.Network, 19, 0, 19, 0}, {wave.Network, 20, 0, 20, time.Second}, {wave.Network, 40, 0, 40, 2 * time.Second},
		{wave.Network, 140, 0, 140, time.Minute}, {wave.Network, 1 << 40, 0, 1 << 40, time.Minute},
		{wave.Network, 500, 250, 500, 0}, // where many people sign in, some mistype
		{wave.Network, 501, 250, 501, time.Minute},
		{"neighbourhood", 59, 0, 59, 0}, {"neighbourhood", 60, 0, 60, time.Second}, {"neighbourhood", 1 << 40, 0, 1 << 40, 30 * time.Second},
		{wave.Password, 19, 0, 19, 0}, {wave.Password, 20, 0, 20, time.Second}, {wave.Password, 1 << 20, 0, 1 << 20, 30 * time.Second},
		{wave.Password, 20, 0, 20_000, 0}, // so many are in any bucket when there are that many in all
	} {
		if got := wave.PaceAfter(c.kind, c.failed, c.passed, c.all); got != c.want {
			t.Errorf("%+v: %v", c, got)
		}
	}
	for _, c := range []struct {
		failed, passed, networks int64
		want                     time.Duration
	}{
		{99, 0, 99, 0}, {100, 0, 19, 0}, {100, 0, 20, 5 * time.Second}, {100, 26, 20, 0},
		{200, 0, 20, 10 * time.Second}, {1 << 40, 0, 1 << 30, time.Minute},
	} {
		if got := wave.StuffingAfter(c.failed, c.passed, c.networks); got != c.want {
			t.Errorf("stuffing %+v: %v", c, got)
		}
	}
}

// Thirty names fail from one network, ten at each node: no node alone would mind.
func TestOneNetworkManyNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	for i := range 30 {
		h.guess(t, i%3, "192.0.2.1", fmt.Sprint("name", i), fmt.Sprint("password", i))
	}
	for i := range h.watch {
		if d := h.wait(t, i, "192.0.2.1", "name", "x"); d != 0 {
			t.Errorf("node %d before it knows of the others: %v", i, d)
		}
	}
	h.settle(t)
	for i := range h.watch {
		if d := h.wait(t, i, "192.0.2.1", "name", "x"); d != 0 {
			t.Errorf("node %d: the first to come waits %v", i, d)
		}
		first := h.wait(t, i, "192.0.2.1", "other", "y")
		if first <= 0 || first > time.Second {
			t.Errorf("node %d: the next waits %v", i, first)
		}
		if d := h.wait(t, i, "192.0.2.1", "other", "y"); d > first {
			t.Errorf("node %d: knocking prolongs the wait: %v, %v", i, first, d)
		}
		if d := h.wait(t, i, "192.0.2.2", "name", "x"); d != 0 {
			t.Errorf("node %d: the neighbour waits %v", i, d)
		}
	}
	h.Pass(t, 2*time.Second)
	if d := h.wait(t, 0, "192.0.2.1", "name", "x"); d != 0 {
		t.Errorf("after the wait: %v", d)
	}
}

// One name that fails for ever is no wave: it is counted by name.
func TestOneNameIsNoWave(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for range 1000 {
		h.guess(t, 0, "192.0.2.1", "name", "password")
	}
	h.settle(t)
	h.wait(t, 0, "192.0.2.1", "other", "x")
	if d := h.wait(t, 0, "192.0.2.1", "other", "x"); d != 0 {
		t.Errorf("waits %v", d)
	}
}

// An attacker with a network of their own changes the address with every guess.
func TestANeighbourhood(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for i := range 90 {
		h.guess(t, 0, fmt.Sprintf("2001:db8:7:%x::1", i), fmt.Sprint("name", i), fmt.Sprint("password", i))
	}
	h.wait(t, 0, "2001:db8:7:ffff::1", "name", "x")
	if d := h.wait(t, 0, "2001:db8:7:fffe::1", "name", "x"); d == 0 {
		t.Error("another address of the attacker's does not wait")
	}
	if d := h.wait(t, 0, "2001:db8:8::1", "name", "x"); d != 0 {
		t.Errorf("another customer waits %v", d)
	}
}

func TestOnePasswordManyNames(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	for i := range 60 { // ten networks: too few to be stuffing, and none fails at twenty names
		h.guess(t, i%3, apart(i%10), fmt.Sprint("name", i), "Winter2026!")
	}
	h.settle(t)
	another := "another password"
	for h.watch[0].Bucket(ten, another) == h.watch[0].Bucket(ten, "Winter2026!") { // one in thousands is
		another += "!"
	}
	for i := range h.watch {
		h.wait(t, i, apart(100), "name", "Winter2026!")
		if d := h.wait(t, i, apart(101), "other", "Winter2026!"); d == 0 {
			t.Errorf("node %d: the password is tried on from another network", i)
		}
		if d := h.wait(t, i, apart(102), "other", another); d != 0 {
			t.Errorf("node %d: another password waits %v", i, d)
		}
	}
	begun := h.events(t, event.AttackBegun)
	if len(begun) != 1 || begun[0].Data["kind"] != wave.Password || begun[0].Data["names"] != "60" || begun[0].Data["from"] != "" {
		t.Errorf("%+v", begun)
	}
}

// On the first day of term a whole campus comes with browsers that are not known, through
// one address.
func TestManyPeopleAreNoWave(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for i := range 400 {
		name := fmt.Sprint("student", i)
		if i%4 == 0 {
			h.guess(t, 0, "192.0.2.1", name, fmt.Sprint("mistyped", i))
		}
		w := h.watch[0]
		w.Passed(w.Guess(from(t, "192.0.2.1"), ten, name, name, fmt.Sprint("password", i)))
	}
	h.settle(t)
	h.wait(t, 0, "192.0.2.1", "next", "x")
	if d := h.wait(t, 0, "192.0.2.1", "next", "x"); d != 0 {
		t.Errorf("waits %v", d)
	}
	if begun := h.events(t, event.AttackBegun); len(begun) != 0 {
		t.Errorf("%+v", begun)
	}
}

// However many nodes see it, and at once, a wave begins once and ends once.
func TestAWaveIsTwoEvents(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	for i := range 60 {
		h.guess(t, i%3, "192.0.2.1", fmt.Sprint("name", i), fmt.Sprint("password", i))
	}
	for i, w := range h.watch {
		b := w.Take()
		if err := h.DB[i].Update(t.Context(), b.Write); err != nil {
			t.Fatal(err)
		}
		w.Written(b)
	}
	together := func() {
		t.Helper()
		var all sync.WaitGroup
		errs := make([]error, len(h.watch))
		for i, w := range h.watch {
			all.Go(func() { errs[i] = w.Refresh(t.Context()) })
		}
		all.Wait()
		for i, err := range errs {
			if err != nil {
				t.Errorf("node %d: %v", i, err)
			}
		}
	}
	h.Pause(2) // the one that lags sees that there is a wave, but not that it was told
	if err := h.watch[0].Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	lagging := make(chan error)
	go func() { lagging <- h.watch[2].Refresh(t.Context()) }()
	h.Resume(t, 2)
	if err := <-lagging; err != nil {
		t.Fatal(err)
	}
	together()
	if begun := h.events(t, event.AttackBegun); len(begun) != 1 || begun[0].Data["from"] != "192.0.2.1 192.0.2.0/24" {
		t.Fatalf("%+v", begun)
	}
	h.Pass(t, 10*time.Minute-time.Second) // it may begin within a window, so it lasts ten minutes at least
	together()
	if ended := h.events(t, event.AttackEnded); len(ended) != 0 {
		t.Errorf("it ended at once: %+v", ended)
	}
	h.Pass(t, 5*time.Minute+2*time.Second)
	together()
	if ended := h.events(t, event.AttackEnded); len(ended) != 1 || ended[0].Data["begun"] == "" {
		t.Errorf("%+v", ended)
	}
	if begun := h.events(t, event.AttackBegun); len(begun) != 1 {
		t.Errorf("%d began", len(begun))
	}
	if d := h.wait(t, 0, "192.0.2.1", "name", "x"); d != 0 {
		t.Errorf("after the end: %v", d)
	}
}

// An answer that is lost, and a node that dies after it has counted, change nothing.
func TestLostAnswers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	for i := range 30 {
		h.guess(t, 0, "192.0.2.1", fmt.Sprint("name", i), fmt.Sprint("password", i))
	}
	for range 3 { // the same row, however often it is written
		b := h.watch[0].Take()
		h.LoseAnswers(1)
		h.DB[0].Update(t.Context(), b.Write)
	}
	h.LoseAnswers(1)
	h.watch[0].Refresh(t.Context())
	h.settle(t)
	h.view(t, func(rows []wave.Stored, waves int) {
		if len(rows) != 1 || rows[0].Names != 30 || waves != 1 {
			t.Errorf("%+v, %d waves", rows, waves)
		}
	})
	if begun := h.events(t, event.AttackBegun); len(begun) != 1 {
		t.Errorf("%+v", begun)
	}
	h.wait(t, 1, "192.0.2.1", "name", "x")
	if d := h.wait(t, 1, "192.0.2.1", "name", "x"); d == 0 {
		t.Error("the other node does not know")
	}
}

func (h *house) view(t *testing.T, look func(rows []wave.Stored, waves int)) {
	t.Helper()
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		rows, waves, err := wave.Rows(tx)
		look(rows, waves)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Whatever strangers do, one node writes one row for each window, of so many entries.
func TestWhatIsStoredIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for i := range 30_000 {
		h.guess(t, 0, apart(i%3000), fmt.Sprint("name", i), fmt.Sprint("password", i%300))
	}
	before := h.Entries()
	h.settle(t)
	h.settle(t)
	if n := h.Entries() - before; n != 2 { // the counts, and that waves began
		t.Errorf("%d entries", n)
	}
	h.view(t, func(rows []wave.Stored, _ int) {
		if len(rows) != 1 {
			t.Fatalf("%d rows", len(rows))
		}
		for kind, n := range rows[0].Entries {
			if n > 32 {
				t.Errorf("kind %d: %d entries", kind, n)
			}
		}
	})
	remembered, last := wave.Paced(3*wave.MaxPaced, apart, h.DB[0].Now())
	if remembered > wave.MaxPaced || !last {
		t.Errorf("%d sources are remembered, the last of them: %v", remembered, last)
	}
}

// Few failures are nobody's business.
func TestLittleIsNotWritten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	for i := range 9 {
		h.guess(t, 0, "192.0.2.1", fmt.Sprint("name", i), "x")
	}
	if !h.watch[0].Take().Empty() {
		t.Error("nine names were written")
	}
}

func TestDeletedTenantIsForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	var gone *directory.Tenant
	h.update(t, func(tx *fsm.Tx) (err error) {
		gone, err = directory.CreateTenant(tx, directory.Tenant{Slug: "gone", Name: "Gone"})
		return err
	})
	w := h.watch[0]
	for i := range 30 {
		w.Failed(w.Guess(from(t, "192.0.2.1"), gone.ID, "", fmt.Sprint("name", i), "x"))
	}
	h.settle(t)
	h.view(t, func(_ []wave.Stored, waves int) {
		if waves == 0 {
			t.Error("no wave")
		}
	})
	h.update(t, func(tx *fsm.Tx) error { return directory.DeleteTenant(tx, gone.ID, 0) })
	h.Pass(t, 16*time.Minute)
	h.settle(t)
	h.view(t, func(_ []wave.Stored, waves int) {
		if waves != 0 {
			t.Errorf("%d waves are left", waves)
		}
	})
}

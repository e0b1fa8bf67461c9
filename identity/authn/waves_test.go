package authn_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// apart is an address in a neighbourhood of its own.
func apart(i int) string { return fmt.Sprintf("10.%d.%d.1", i/256, i%256) }

// wrong has somebody fail at a name, at one node, with a password that is tried nowhere else.
func (n *node) wrong(t testing.TB, ip, name string) {
	t.Helper()
	if _, err := n.try(t, from(t, ip), authn.Browser{}, name, "wrong "+name); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Fatalf("%s from %s: %v", name, ip, err)
	}
}

// held is how long an attempt must wait; none that must costs a hash.
func (n *node) held(t testing.TB, ip string, b authn.Browser, name string) time.Duration {
	t.Helper()
	checks := n.checks.Load()
	_, err := n.try(t, from(t, ip), b, name, "wrong")
	if errors.Is(err, identity.ErrUnauthenticated) {
		return 0
	}
	if e := identity.Errors(err); errors.Is(err, identity.ErrLimited) && len(e) == 1 && n.checks.Load() == checks {
		return e[0].RetryAfter
	}
	t.Fatalf("got %v, %d hashes", err, n.checks.Load()-checks)
	return 0
}

// settle has every node write what it counted and read what the others have.
func (h *house) settle(t testing.TB) {
	t.Helper()
	for range 2 {
		for _, n := range h.nodes {
			if err := n.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// owners are ann, who has a passkey, and bob, who has signed in before in his browser. From then
// on the state's time stands still but for pass.
func (h *house) owners(t testing.TB) (anns *passkeytest.Authenticator, bobs authn.Browser) {
	t.Helper()
	anns = &passkeytest.Authenticator{Origin: origin, UV: true, Synced: true}
	h.passkey(t, anns)
	h.user(t, directory.User{Username: "bob"}, good)
	r, err := h.nodes[0].try(t, from(t, "192.0.2.1"), authn.Browser{}, "bob", good)
	if err != nil {
		t.Fatal(err)
	}
	h.Pass(t, 10*time.Minute)
	return anns, authn.Browser{Device: r.Device}
}

// notHeld fails if owners have to wait, at whatever node.
func (h *house) notHeld(t testing.TB, anns *passkeytest.Authenticator, bobs authn.Browser) {
	t.Helper()
	for i, n := range h.nodes {
		if d := limited(t, n, "192.0.2.1", bobs, "bob"); d != 0 {
			t.Errorf("node %d: bob, in his own browser, waits %v", i, d)
		}
		f := n.fresh(t, at(t))
		if _, err := n.Passkey(at(t), f, n.answer(t, at(t), f, anns)); err != nil {
			t.Errorf("node %d: ann, with a passkey in a new browser: %v", i, err)
		}
	}
}

// One network guesses at many names, a few at each node. Every node slows it down; those who
// have signed in before in their browser do not notice, behind the same address.
func TestKnownBrowsersPassAWave(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	key, known := h.owners(t)
	for i := range 57 {
		h.nodes[i%3].wrong(t, "192.0.2.1", fmt.Sprint("nobody", i))
	}
	h.settle(t)
	for i, n := range h.nodes {
		if d := n.held(t, "192.0.2.1", authn.Browser{}, "first"); d != 0 {
			t.Errorf("node %d: the first to come waits %v", i, d)
		}
		if d := n.held(t, "192.0.2.1", authn.Browser{}, "second"); d <= 0 || d > 2*time.Second {
			t.Errorf("node %d: a stranger waits %v", i, d)
		}
		if d := n.held(t, "192.0.2.1", known, "third"); d == 0 {
			t.Errorf("node %d: bob's browser helps others", i)
		}
		if d := n.held(t, "198.51.100.7", authn.Browser{}, "fourth"); d != 0 {
			t.Errorf("node %d: another network waits %v", i, d)
		}
	}
	h.notHeld(t, key, known)
	if begun := h.events(t, event.AttackBegun); len(begun) != 1 || begun[0].Data["from"] != "192.0.2.1" {
		t.Errorf("%+v", begun)
	}
}

// One password is tried at many names from everywhere: it is slowed down.
func TestASprayedPassword(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.Pass(t, 10*time.Minute)
	for i := range 57 {
		if d := h.nodes[i%3].held(t, apart(i%15), authn.Browser{}, fmt.Sprint("nobody", i)); d != 0 {
			t.Fatalf("guess %d waits %v", i, d)
		}
	}
	h.settle(t)
	for i, n := range h.nodes {
		n.held(t, apart(100), authn.Browser{}, "first")
		if d := n.held(t, apart(101), authn.Browser{}, "second"); d == 0 {
			t.Errorf("node %d: the password goes on", i)
		}
	}
}

// A list is tried out with a new address and a new page for each guess. In a minute every node
// lets so many through, whatever is sent; at one name, from everywhere, there are two a minute
// after five; and none of that is asked of known browsers and passkeys.
func TestAListFromEverywhereIsBounded(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	key, known := h.owners(t)
	for i := range 100 {
		h.nodes[i%3].wrong(t, apart(i), fmt.Sprint("nobody", i))
	}
	h.settle(t)
	const seconds, knocks = 60, 3
	through, next := make([]int, len(h.nodes)), 1000
	guess := func(n *node, name string) bool { // with what was not tried before
		next++
		_, err := n.try(t, from(t, apart(next)), authn.Browser{}, name, fmt.Sprint("wrong", next))
		if !errors.Is(err, identity.ErrUnauthenticated) && !errors.Is(err, identity.ErrLimited) {
			t.Fatal(err)
		}
		return errors.Is(err, identity.ErrUnauthenticated)
	}
	for range seconds {
		h.Pass(t, time.Second)
		for i, n := range h.nodes {
			for range knocks {
				if guess(n, fmt.Sprint("nobody", next)) {
					through[i]++
				}
			}
		}
	}
	for i, got := range through {
		if got != seconds { // the wait is a little shorter than a second where somebody has signed in
			t.Errorf("node %d let %d of %d through", i, got, seconds*knocks)
		}
	}
	n, at1 := h.nodes[0], 0
	for range 20 {
		h.Pass(t, 2*time.Second)
		if guess(n, "bob") {
			at1++
		}
	}
	if at1 < 2 || at1 > 5 { // the sixth would be 15 s after the second, by the machine's time
		t.Errorf("%d guesses at bob's name were let through", at1)
	}
	h.notHeld(t, key, known)
}

// Strangers have room for so many attempts at a time, whatever they try, so that those who are
// known find some.
func TestStrangersLeaveRoom(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	device, err := n.try(t, from(t, "192.0.2.1"), authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	entered, hold, done := make(chan struct{}), make(chan struct{}), make(chan error)
	n.checked = func() { entered <- struct{}{}; <-hold }
	const room = 8 // see newHouse
	flows := make([]*authn.Flow, room)
	for i := range flows {
		flows[i] = n.fresh(t, from(t, apart(i)))
		go func() {
			_, err := n.Password(from(t, apart(i)), flows[i], fmt.Sprint("nobody", i), fmt.Sprint("wrong", i))
			done <- err
		}()
	}
	for range flows {
		<-entered
	}
	n.checked = nil
	if d := n.held(t, apart(room), authn.Browser{}, "nobody"); d != time.Second {
		t.Errorf("one stranger too many waits %v", d)
	}
	if d := limited(t, n, "192.0.2.1", authn.Browser{Device: device.Device}, "ann"); d != 0 {
		t.Errorf("ann, in her own browser, waits %v", d)
	}
	close(hold)
	for range flows {
		if err := <-done; !errors.Is(err, identity.ErrUnauthenticated) {
			t.Error(err)
		}
	}
	if d := n.held(t, apart(room), authn.Browser{}, "nobody"); d != 0 {
		t.Errorf("when there is room again, a stranger waits %v", d)
	}
}

// A flood from many addresses costs few entries, few events, and memory that it gives back.
func TestAFloodIsFewEntries(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.Pass(t, 10*time.Minute)
	const flood = 1000
	for i := range flood { // at 99 names, and at last at the one that makes it a wave, which would be let through slowly
		n.wrong(t, apart(i), fmt.Sprint("nobody", i%99+i/(flood-1)*99))
		n.Age(time.Hour)
	}
	before, flushes := h.Entries(), 0
	for tallies := 1; tallies > 0; flushes++ {
		if err := n.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		var kinds int
		if tallies, kinds = n.Remembered(); tallies > 0 && kinds > 0 {
			t.Errorf("%d kinds are left", kinds)
		}
	}
	if entries := h.Entries() - before; flushes > 3 || entries > 6*flushes {
		t.Errorf("%d failures took %d entries in %d flushes", flood, entries, flushes)
	}
	failed, total, many := h.events(t, event.SigninFailed), 0, 0
	for _, e := range failed {
		count, err := strconv.Atoi(e.Data["count"])
		if err != nil {
			t.Fatal(err)
		}
		total += count
		if e.Data["from"] != "" {
			many += count
			if e.Request.IP != "" {
				t.Errorf("many addresses, and one is named: %+v", e)
			}
		}
	}
	if len(failed) > 101 || total != flood || many != flood-100 {
		t.Errorf("%d events tell of %d failures, %d of them together", len(failed), total, many)
	}
	if begun := h.events(t, event.AttackBegun); len(begun) == 0 {
		t.Error("nobody was told")
	}
}

// Codes by mail are guessed at too: many names, one guess each.
func TestGuessedCodesAreAWave(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.Pass(t, 10*time.Minute)
	ctx := from(t, "192.0.2.1")
	for i := range 21 {
		f, _ := n.lost(t, ctx, fmt.Sprint("nobody", i))
		_, err := n.MailCode(ctx, f, "000000")
		if !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatalf("guess %d: %v", i, err)
		}
	}
	f, _ := n.lost(t, ctx, "nobody")
	if _, err := n.MailCode(ctx, f, "000000"); !errors.Is(err, identity.ErrLimited) {
		t.Errorf("one more: %v", err)
	}
}

// Whoever asks is told that a password is let on before it is hashed, and of none that must wait.
func TestAdmittedBeforeItIsHashed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	h.Pass(t, 10*time.Minute) // the state's time stands still from here on
	for i := 0; ; i++ {
		f, admitted, before := n.fresh(t, from(t, "192.0.2.7")), false, n.checks.Load()
		f.Admitted = func() {
			admitted = true
			if n.checks.Load() != before {
				t.Error("it was hashed by then")
			}
		}
		_, err := n.Password(from(t, "192.0.2.7"), f, fmt.Sprint("nobody", i), fmt.Sprint("wrong", i))
		if limited := errors.Is(err, identity.ErrLimited); limited == admitted {
			t.Fatalf("attempt %d: %v, admitted: %t", i, err, admitted)
		} else if limited {
			return
		}
		if i > 100 {
			t.Fatal("a hundred names from one network, and none had to wait")
		}
	}
}

package authn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

// guess fails n times, patiently: it lets each delay pass but the last one. Ten
// failures make a delay that no slow machine outlasts by accident.
func guess(t testing.TB, n *node, ip, name string, times int) {
	t.Helper()
	for i := range times {
		n.Age(10 * time.Minute)
		if _, err := n.try(t, from(t, ip), authn.Browser{}, name, "wrong"); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Fatalf("guess %d at %s: %v", i+1, name, err)
		}
	}
}

func limited(t testing.TB, n *node, ip string, b authn.Browser, name string) time.Duration {
	t.Helper()
	_, err := n.try(t, from(t, ip), b, name, good)
	if err == nil {
		return 0
	}
	e := identity.Errors(err)
	if !errors.Is(err, identity.ErrLimited) || len(e) != 1 || e[0].RetryAfter <= 0 || e[0].RetryAfter > 45*time.Minute {
		t.Fatalf("got %v", err)
	}
	return e[0].RetryAfter
}

func TestFailuresSlowDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	n := h.nodes[0]
	device, err := n.try(t, from(t, "192.0.2.9"), authn.Browser{}, "ann", good)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ann", "nobody"} { // alike, or they could be told apart
		guess(t, n, "192.0.2.1", name, 9)
		checks := n.checks.Load()
		if limited(t, n, "192.0.2.1", authn.Browser{}, name) == 0 {
			t.Errorf("%s: one more attempt was let through", name)
		}
		if name != "ann" && limited(t, n, "192.0.2.1", authn.Browser{Device: device.Device}, name) == 0 {
			t.Errorf("%s: ann's device helps", name)
		}
		if n.checks.Load() != checks {
			t.Errorf("%s: a limited attempt cost a hash", name)
		}
	}
	if limited(t, h.nodes[1], "192.0.2.1", authn.Browser{}, "ann") != 0 {
		t.Error("what node 0 has not written yet is known to node 1")
	}
	guess(t, n, "192.0.2.3", "ann", 10)
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i, other := range h.nodes {
		if limited(t, other, "192.0.2.3", authn.Browser{}, "ann") == 0 {
			t.Errorf("node %d does not know the failures", i)
		}
		if d := limited(t, other, "192.0.2.2", authn.Browser{}, "ann"); d > 30*time.Second {
			t.Errorf("node %d: another network waits %v", i, d)
		}
		if limited(t, other, "192.0.2.3", authn.Browser{Device: device.Device}, "ann") != 0 {
			t.Errorf("node %d: a known device is limited too", i)
		}
	}
}

// Failures at an address must not delay the username beside it: two names that nobody
// has do not do that, so it would tell that there is such a user.
func TestDelaysDoNotTellWhichNamesBelongTogether(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.user(t, directory.User{Username: "mary", Email: "mary@example.com"}, good)
	n := h.nodes[0]
	for address, username := range map[string]string{"mary@example.com": "mary", "nobody@example.com": "nobody"} {
		guess(t, n, "192.0.2.1", address, 10)
		_, err := n.try(t, from(t, "192.0.2.1"), authn.Browser{}, username, "wrong")
		if !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s after failures at %s: %v", username, address, err)
		}
		if limited(t, n, "192.0.2.1", authn.Browser{}, strings.ToUpper(address)) == 0 {
			t.Errorf("another spelling of %s is another name", address)
		}
	}
}

// A delay must end, however hard someone keeps knocking.
func TestNobodyIsLockedOutForEver(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	guess(t, n, "192.0.2.1", "ann", 10)
	first := limited(t, n, "192.0.2.1", authn.Browser{}, "ann")
	for range 50 {
		if again := limited(t, n, "192.0.2.1", authn.Browser{}, "ann"); again > first {
			t.Fatalf("knocking made the delay longer: %v, then %v", first, again)
		}
	}
	n.Age(time.Minute)
	if d := limited(t, n, "192.0.2.1", authn.Browser{}, "ann"); d != 0 {
		t.Errorf("after the delay: %v more", d)
	}
}

func TestSuccessForgivesItsNetwork(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	guess(t, n, "192.0.2.1", "ann", 4)
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if limited(t, n, "192.0.2.1", authn.Browser{}, "ann") != 0 {
		t.Error("limited after four")
	}
	h.Pass(t, 45*time.Minute) // what came from everywhere is forgotten, what came from a network is not
	guess(t, n, "192.0.2.1", "ann", 4)
	if limited(t, n, "192.0.2.1", authn.Browser{}, "ann") != 0 {
		t.Error("what came before the success counts still")
	}
}

func TestFailuresAreForgotten(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	guess(t, n, "192.0.2.1", "ann", 10)
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	h.Pass(t, 61*time.Minute)
	guess(t, n, "192.0.2.1", "ann", 4)
}

// A hundred guesses at once must not each find that there was none before it.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	const guesses = 40
	hold, done := make(chan struct{}), make(chan error, guesses)
	n.checked = func() { <-hold }
	for range guesses {
		f := n.fresh(t, from(t, "192.0.2.1"))
		go func() {
			_, err := n.Password(from(t, "192.0.2.1"), f, "ann", "wrong")
			done <- err
		}()
	}
	for range guesses - 5 {
		if err := <-done; !errors.Is(err, identity.ErrLimited) {
			t.Errorf("got %v, want ErrLimited", err)
		}
	}
	close(hold)
	for range 5 {
		if err := <-done; !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("got %v, want ErrUnauthenticated", err)
		}
	}
}

func TestManyNamesFromManyNetworks(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	for i := range 8 {
		_, err := n.try(t, from(t, fmt.Sprint("198.51.100.", i)), authn.Browser{}, "ann", "wrong")
		if want := identity.ErrUnauthenticated; i < 5 && !errors.Is(err, want) {
			t.Fatalf("guess %d: %v", i, err)
		}
		if i >= 5 && !errors.Is(err, identity.ErrLimited) {
			t.Fatalf("guess %d from a network of its own: %v", i, err)
		}
	}
}

func TestABatchOfFailures(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	const names = 130   // more than one transaction takes
	const networks = 10 // few enough at each for nobody to mind
	for i := range names {
		n.wrong(t, apart(i%networks), fmt.Sprint("nobody", i))
	}
	h.SetLeader(false)
	if err := n.Flush(t.Context()); !errors.Is(err, fsm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	h.SetLeader(true)
	before := h.Entries()
	if err := n.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.Entries() - before; got != 2 {
		t.Errorf("%d names took %d entries, want 2", names, got)
	}
	failed := h.events(t, event.SigninFailed)
	for _, e := range failed {
		if len(failed) != networks || e.Data["count"] != fmt.Sprint(names/networks) {
			t.Errorf("got %d events: %+v", len(failed), e)
		}
	}
	if tallies, kinds := n.Remembered(); tallies+kinds != 0 {
		t.Errorf("%d tallies and %d kinds are left", tallies, kinds)
	}
}

func TestRunWritesFailures(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	n := h.nodes[0]
	ctx, cancel := context.WithCancel(t.Context())
	for i := range 100 {
		n.wrong(t, apart(i%10), fmt.Sprint("nobody", i))
	}
	changed := h.DB[0].Changed()
	ended := make(chan error)
	go func() { ended <- n.Run(ctx) }()
	<-changed // at once, because a hundred wait
	guess(t, n, "192.0.2.1", "ann", 1)
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if failed := h.events(t, event.SigninFailed); len(failed) != 11 {
		t.Errorf("got %d events, want 11: %+v", len(failed), failed)
	}
}

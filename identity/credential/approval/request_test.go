package approval_test

import (
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/event"
)

func (h *house) ask(t testing.TB, node int, flow string) (id, number string, err error) {
	t.Helper()
	ctx := identity.WithRequest(t.Context(), identity.Request{ID: "req", IP: "192.0.2.1", UserAgent: "Fire\x00fox"})
	err = h.DB[node].Update(ctx, func(tx *fsm.Tx) (err error) {
		id, number, err = approval.Ask(tx, h.rings[node], approval.Question{Tenant: ten, UserID: alice, Flow: flow, Application: "Web", Own: h.own})
		return err
	})
	return id, number, err
}

func (h *house) asked(t testing.TB, flow string) (id, number string) {
	t.Helper()
	id, number, err := h.ask(t, 0, flow)
	if err != nil {
		t.Fatal(err)
	}
	return id, number
}

func (h *house) answer(t testing.TB, node int, session, id, number string) (left int, right bool, err error) {
	t.Helper()
	err = h.DB[node].Update(t.Context(), func(tx *fsm.Tx) (err error) {
		left, right, err = approval.Answer(tx, h.rings[node], ten, alice, session, id, number)
		return err
	})
	return left, right, err
}

func (h *house) refuse(t testing.TB, node int, id string) error {
	t.Helper()
	return h.DB[node].Update(t.Context(), func(tx *fsm.Tx) error { return approval.Refuse(tx, ten, alice, id, "refused") })
}

func (h *house) accept(t testing.TB, node int, flow, id string) error {
	t.Helper()
	return h.DB[node].Update(t.Context(), func(tx *fsm.Tx) error { return approval.Accept(tx, ten, alice, flow, id) })
}

// state asks every node.
func (h *house) state(t testing.TB, flow, id string) (state approval.State) {
	t.Helper()
	for i, db := range h.DB {
		err := db.Read(t.Context(), func(tx *fsm.Tx) error {
			s, err := approval.Look(tx, ten, alice, flow, id)
			if i > 0 && s != state {
				t.Errorf("node %d says %d, others %d", i, s, state)
			}
			state = s
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return state
}

// other is a number that is not this one.
func other(number string) string {
	n, _ := strconv.Atoi(number)
	return strconv.Itoa(10 + (n-9)%90)
}

func TestANumberApproves(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a, _ := h.allow(t, alice, "ses_1", "Laptop")
	id, number := h.asked(t, "flw_1")
	if len(number) != 2 || number < "10" || h.state(t, "flw_1", id) != approval.Pending {
		t.Fatalf("number %q, state %d", number, h.state(t, "flw_1", id))
	}
	err := h.DB[1].View(t.Context(), func(tx *fsm.Tx) error {
		q, err := approval.Waiting(tx, ten, alice)
		if q == nil || q.ID != id || q.Application != "Web" || q.From.IP != "192.0.2.1" || q.From.UserAgent != "Fire fox" || strings.Contains(string(q.MAC), number) {
			t.Errorf("waiting: %+v", q)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := h.answer(t, 1, "ses_else", id, number); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("a browser that may not: %v", err)
	}
	for _, stale := range []string{"", "apv_x"} {
		if _, _, err := h.answer(t, 1, "ses_1", stale, number); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("another request: %v", err)
		}
	}
	if left, right, err := h.answer(t, 1, "ses_1", id, strings.Repeat(number, 100)); left != 2 || right || err != nil {
		t.Errorf("a long number: %d left, %v, %v", left, right, err)
	}
	if err := h.accept(t, 0, "flw_1", id); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("accepted before it was approved: %v", err)
	}
	if _, right, err := h.answer(t, 1, "ses_1", id, " "+number[:1]+" "+number[1:]+"\n"); !right || err != nil {
		t.Fatalf("the number: %v, %v", right, err)
	}
	if h.state(t, "flw_1", id) != approval.Approved || h.state(t, "flw_2", id) != approval.Gone {
		t.Error("it is not approved, or for another flow, too")
	}
	if _, _, err := h.answer(t, 1, "ses_1", id, number); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("answered twice: %v", err)
	}
	if err := h.refuse(t, 1, id); !errors.Is(err, fsm.ErrNotFound) {
		t.Errorf("refused after that: %v", err)
	}
	if err := h.accept(t, 0, "flw_2", id); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("spent by another flow: %v", err)
	}
	h.Pass(t, approval.Lifetime) // what was approved in time may be spent a little later
	if err := h.accept(t, 0, "flw_1", id); err != nil {
		t.Fatal(err)
	}
	if err := h.accept(t, 1, "flw_1", id); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("spent twice: %v", err)
	}
	if got := h.list(t, 1, alice)[0]; got.ID != a.ID || got.LastUsed.IsZero() {
		t.Errorf("%+v", got)
	}
}

// Who asks does not answer, though they may answer others.
func TestNobodyApprovesThemselves(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	a, _ := h.allow(t, alice, "ses_1", "Laptop")
	h.allow(t, alice, "ses_2", "Phone")
	h.own = a.ID
	id, number := h.asked(t, "flw_1")
	if _, _, err := h.answer(t, 0, "ses_1", id, number); !errors.Is(err, identity.ErrDenied) {
		t.Errorf("approved by the browser that asks: %v", err)
	}
	if _, right, err := h.answer(t, 0, "ses_2", id, number); !right || err != nil {
		t.Errorf("by another: %v, %v", right, err)
	}
}

func TestWrongNumbersEndARequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.allow(t, alice, "ses_1", "Laptop")
	id, number := h.asked(t, "flw_1")
	for left := 2; left >= 0; left-- {
		if got, right, err := h.answer(t, left%2, "ses_1", id, other(number)); got != left || right || err != nil {
			t.Fatalf("%d left, want %d; %v, %v", got, left, right, err)
		}
	}
	if _, _, err := h.answer(t, 0, "ses_1", id, number); !errors.Is(err, fsm.ErrNotFound) || h.state(t, "flw_1", id) != approval.Refused {
		t.Errorf("after three wrong numbers: %v", err)
	}
	events := h.events(t, alice)
	if events[len(events)-1] != event.ApprovalRefused {
		t.Errorf("events: %v", events)
	}
}

func TestARequestEnds(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	a, _ := h.allow(t, alice, "ses_1", "Laptop")
	for name, end := range map[string]func(id, number string) approval.State{
		"refused": func(id, _ string) approval.State {
			if err := h.refuse(t, 1, id); err != nil {
				t.Fatal(err)
			}
			return approval.Refused
		},
		"too late": func(id, _ string) approval.State { h.Pass(t, approval.Lifetime); return approval.Gone },
		"approved, and not spent": func(id, number string) approval.State {
			if _, right, err := h.answer(t, 1, "ses_1", id, number); !right || err != nil {
				t.Fatalf("%v, %v", right, err)
			}
			h.Pass(t, 10*time.Minute)
			return approval.Gone
		},
	} {
		h.Pass(t, time.Hour)
		id, number := h.asked(t, "flw_"+name)
		want := end(id, number)
		if got := h.state(t, "flw_"+name, id); got != want {
			t.Errorf("%s: state %d, want %d", name, got, want)
		}
		if _, _, err := h.answer(t, 0, "ses_1", id, number); !errors.Is(err, fsm.ErrNotFound) {
			t.Errorf("%s: answered: %v", name, err)
		}
		if err := h.accept(t, 0, "flw_"+name, id); !errors.Is(err, identity.ErrUnauthenticated) {
			t.Errorf("%s: spent: %v", name, err)
		}
	}
	id, number := h.asked(t, "flw_removed")
	if _, right, err := h.answer(t, 1, "ses_1", id, number); !right || err != nil {
		t.Fatalf("%v, %v", right, err)
	}
	h.update(t, 0, func(tx *fsm.Tx) error { return approval.Remove(tx, ten, alice, a.ID) })
	if err := h.accept(t, 1, "flw_removed", id); !errors.Is(err, identity.ErrUnauthenticated) {
		t.Errorf("an approval outlives its approver: %v", err)
	}
}

// Nobody is asked until they give in: one question at a time, and few in an hour.
func TestNobodyIsWornDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.allow(t, alice, "ses_1", "Laptop")
	first, _ := h.asked(t, "flw_1")
	if _, _, err := h.ask(t, 1, "flw_2"); !errors.Is(err, identity.ErrLimited) {
		t.Errorf("another flow beside it: %v", err)
	}
	second, _, err := h.ask(t, 1, "flw_1")
	if err != nil || h.state(t, "flw_1", first) != approval.Gone || h.state(t, "flw_1", second) != approval.Pending {
		t.Errorf("the same flow again: %v", err)
	}
	for range approval.PerHour - 2 {
		h.Pass(t, approval.Lifetime)
		h.asked(t, "flw_3")
	}
	h.Pass(t, approval.Lifetime)
	_, _, err = h.ask(t, 1, "flw_4")
	limited, ok := errors.AsType[*identity.Error](err)
	if !ok || !errors.Is(err, identity.ErrLimited) || limited.RetryAfter <= 0 || limited.RetryAfter > time.Hour {
		t.Errorf("one too many: %v", err)
	}
	h.Pass(t, limited.RetryAfter+time.Second)
	if _, _, err := h.ask(t, 1, "flw_4"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// races is how often each race is run.
const races = 1000

// What two nodes do at once with one request is decided in order: two flows ask and one does;
// it is approved, refused and approved at another node, and one of these holds; it is spent
// twice, and once.
func TestRaced(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.allow(t, alice, "ses_1", "Laptop")
	approved := 0
	for round := range races {
		h.Pass(t, 15*time.Minute)
		var wg sync.WaitGroup
		var ids, numbers [2]string
		var errs [3]error
		flows := [2]string{"flw_0", "flw_1"}
		for i := range 2 {
			wg.Go(func() { ids[i], numbers[i], errs[i] = h.ask(t, i, flows[i]) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("round %d: asked %v and %v", round, errs[0], errs[1])
		}
		won := 0
		if errs[0] != nil {
			won = 1
		}
		flow, id, number := flows[won], ids[won], numbers[won]
		for i := range 3 {
			wg.Go(func() {
				if i == round%3 {
					errs[i] = h.refuse(t, i, id)
					return
				}
				_, _, errs[i] = h.answer(t, i, "ses_1", id, number)
			})
		}
		wg.Wait()
		answers := 0
		for _, err := range errs {
			if err == nil {
				answers++
			} else if !errors.Is(err, fsm.ErrNotFound) {
				t.Fatalf("round %d: the loser is told %v", round, err)
			}
		}
		if answers != 1 {
			t.Fatalf("round %d: answered %d times", round, answers)
		}
		given := h.state(t, flow, id) == approval.Approved
		if given != (errs[round%3] != nil) {
			t.Fatalf("round %d: approved %v, refused: %v", round, given, errs[round%3])
		}
		for i := range 3 {
			wg.Go(func() { errs[i] = h.accept(t, i, flow, id) })
		}
		wg.Wait()
		spent := 0
		for _, err := range errs {
			if err == nil {
				spent++
			}
		}
		if given {
			approved++
		}
		if given != (spent == 1) || spent > 1 {
			t.Fatalf("round %d: approved %v, spent %d times", round, given, spent)
		}
	}
	if approved == 0 || approved == races {
		t.Errorf("%d of %d were approved: no race", approved, races)
	}
}

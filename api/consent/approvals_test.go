package consent

import (
	"net/url"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

func (h *house) approval(q *ciba.Request) (state ciba.State) {
	h.t.Helper()
	err := h.db.View(h.t.Context(), func(tx *fsm.Tx) error {
		now, err := ciba.Get(tx, q.Tenant, q.Family)
		if err == nil {
			state = now.State
		}
		return err
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return state
}

func TestApprovalsAreListedAndDecided(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.someone()
	s.get(s.signIn(s.get("/account/approvals"), "", "ada")).want(t, 200, "Nothing waits")
	pay, other := h.ask("ada", "Pay 12.50, code <W4SCT>"), h.ask("ada", "")
	h.ask("grace", "not for ada")
	list := s.get("/account/approvals").want(t, 200, "Pay 12.50, code &lt;W4SCT&gt;", "Television", "Know that it is you who signs in")
	tickets := list.hidden()
	if len(tickets) != 2 || strings.Contains(list.body, "not for ada") {
		t.Fatalf("%d questions: %s", len(tickets), list.body)
	}
	before := h.cluster.Entries()
	done := s.post("/account/approvals", allow(tickets[0])).want(t, 303)
	s.get(done.Header.Get("Location")).want(t, 200, "You have allowed it")
	done = s.post("/account/approvals", url.Values{"ticket": {tickets[1]}, "decision": {"deny"}}).want(t, 303)
	s.get(done.Header.Get("Location")).want(t, 200, "You have refused it", "Nothing waits")
	states := map[ciba.State]int{h.approval(pay): 1, h.approval(other): 1}
	if n := h.cluster.Entries() - before; n != 2 || states[ciba.Approved] != 1 || states[ciba.Denied] != 1 {
		t.Errorf("%d entries, states %v", n, states)
	}
	s.post("/account/approvals", allow(tickets[1])).want(t, 410)
}

func TestRefusesApprovalOfAnotherUsersRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	q := h.ask("ada", "hers")
	ada, grace := h.someone(), h.someone()
	ticket := ada.get(ada.signIn(ada.get("/account/approvals"), "", "ada")).hidden()[0]
	grace.signIn(grace.get("/account/approvals"), "", "grace")
	grace.post("/account/approvals", allow(ticket)).want(t, 410)
	ada.post("/device/decision", allow(ticket)).want(t, 410)
	if h.approval(q) != ciba.Pending {
		t.Errorf("state %d", h.approval(q))
	}
}

func TestApprovalsWantARecentSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.someone()
	s.signIn(s.get("/account/approvals"), "", "ada")
	h.pass(MaxAge + 1e9)
	q := h.ask("ada", "")
	s.get(s.signIn(s.get("/account/approvals"), "", "ada")).want(t, 200, "Television")
	if h.approval(q) != ciba.Pending || q.Tenant != identity.DefaultTenant {
		t.Error("decided by signing in")
	}
}

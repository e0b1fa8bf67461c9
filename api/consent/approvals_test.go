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
	s.Get(s.SignIn(s.Get("/account/approvals"), "", "ada", "right")).Want(t, 200, "Nothing waits")
	pay, other := h.ask("ada", "Pay 12.50, code <W4SCT>"), h.ask("ada", "")
	h.ask("grace", "not for ada")
	list := s.Get("/account/approvals").Want(t, 200, "Pay 12.50, code &lt;W4SCT&gt;", "Television", "Know that it is you who signs in")
	tickets := list.Hidden("flow|ticket")
	if len(tickets) != 2 || strings.Contains(list.Page, "not for ada") {
		t.Fatalf("%d questions: %s", len(tickets), list.Page)
	}
	before := h.cluster.Entries()
	done := s.Post("/account/approvals", allow(tickets[0])).Want(t, 303)
	s.Get(done.Header.Get("Location")).Want(t, 200, "You have allowed it")
	done = s.Post("/account/approvals", url.Values{"ticket": {tickets[1]}, "decision": {"deny"}}).Want(t, 303)
	s.Get(done.Header.Get("Location")).Want(t, 200, "You have refused it", "Nothing waits")
	states := map[ciba.State]int{h.approval(pay): 1, h.approval(other): 1}
	if n := h.cluster.Entries() - before; n != 2 || states[ciba.Approved] != 1 || states[ciba.Denied] != 1 {
		t.Errorf("%d entries, states %v", n, states)
	}
	s.Post("/account/approvals", allow(tickets[1])).Want(t, 410)
}

func TestRefusesApprovalOfAnotherUsersRequest(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	q := h.ask("ada", "hers")
	ada, grace := h.someone(), h.someone()
	ticket := ada.Get(ada.SignIn(ada.Get("/account/approvals"), "", "ada", "right")).Hidden("flow|ticket")[0]
	grace.SignIn(grace.Get("/account/approvals"), "", "grace", "right")
	grace.Post("/account/approvals", allow(ticket)).Want(t, 410)
	ada.Post("/device/decision", allow(ticket)).Want(t, 410)
	if h.approval(q) != ciba.Pending {
		t.Errorf("state %d", h.approval(q))
	}
}

func TestApprovalsWantARecentSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.someone()
	s.SignIn(s.Get("/account/approvals"), "", "ada", "right")
	h.pass(MaxAge + 1e9)
	q := h.ask("ada", "")
	s.Get(s.SignIn(s.Get("/account/approvals"), "", "ada", "right")).Want(t, 200, "Television")
	if h.approval(q) != ciba.Pending || q.Tenant != identity.DefaultTenant {
		t.Error("decided by signing in")
	}
}

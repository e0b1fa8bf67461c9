package consent

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/ciba"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
)

// wants has the application ask for second factors.
func (h *house) wants(policy string) {
	h.t.Helper()
	app := h.apps[identity.DefaultTenant]
	h.update(func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, app.Tenant, app.ID, 0, func(a *federation.Application) error { a.MFAPolicy = policy; return nil })
		return err
	})
}

// prove takes the second step of whoever is led to it, and returns where that leads.
func (s *someone) prove(to string, secret []byte) string {
	s.t.Helper()
	flow := s.Get(to).Want(s.t, 200, "One more step").Hidden("flow")[0]
	done := s.Post("/login/second", url.Values{"flow": {flow}, "way": {"totp"}, "code": {totp.Parameters{}.Code(secret, s.db.Now())}})
	back, ok := strings.CutPrefix(done.Header.Get("Refresh"), "0; url=")
	if !ok {
		s.t.Fatalf("nothing proved: %d %s", done.StatusCode, done.Page)
	}
	return back
}

func (h *house) telephone() (secret []byte) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) (err error) {
		_, secret, err = totptest.Add(tx, h.ring, identity.DefaultTenant, h.users[identity.DefaultTenant+" ada"], "telephone")
		return err
	})
	h.pass(time.Minute) // its first code was used to set it up
	return secret
}

// A password alone lets no device in where policy wants more, whenever it began to.
func TestADeviceIsNotLetInByLessThanPolicyAsks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	s := h.someone()
	ticket := s.question(a)
	h.wants(federation.MFADeviceBound)
	app := "application=" + h.apps[identity.DefaultTenant].ID
	back := url.QueryEscape("/device?user_code=" + a.UserCode)
	s.Post("/device/decision", allow(ticket)).Leads(t, "/login/enrol?"+app+"&kind=bound&then="+back)
	s.Post("/device", url.Values{"user_code": {a.UserCode}}).Leads(t, "/login/enrol?"+app+"&kind=bound&then="+back)
	h.wants(federation.MFAAny)
	s.Post("/device/decision", allow(ticket)).Leads(t, "/login/enrol?"+app+"&then="+back)
	if h.state(a) != device.Pending {
		t.Fatal("let in")
	}
	s.Post("/device/decision", url.Values{"ticket": {ticket}, "decision": {"deny"}}).Want(t, 200, "is refused")
}

func TestADeviceIsLetInOnceMoreIsProved(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	s := h.someone()
	ticket := s.question(a)
	secret := h.telephone()
	h.wants(federation.MFAOTP)
	late := s.Post("/device/decision", allow(ticket))
	late.Leads(t, "/login?flow=")
	back := s.prove(late.Header.Get("Location"), secret)
	if !strings.HasPrefix(back, "/device?user_code="+a.UserCode) || h.state(a) != device.Pending {
		t.Fatalf("back at %s, state %d", back, h.state(a))
	}
	s.Get(back).Want(t, 200, "Connect a device", device.ShowUserCode(a.UserCode))
	q := s.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200, "Television")
	s.Post("/device/decision", allow(q.Hidden("flow|ticket")[0])).Want(t, 200, "is let in")
}

// What an application asks without a browser is listed whatever it takes, so that it can be refused.
func TestAnApprovalTakesWhatPolicyAsks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.someone()
	s.SignIn(s.Get("/account/approvals"), "", "ada", "right")
	q := h.ask("ada", "pay")
	const more = "you have to prove more"
	if a := s.Get("/account/approvals").Want(t, 200, "pay"); strings.Contains(a.Page, more) {
		t.Error("more is asked where nothing is")
	}
	h.wants(federation.MFADeviceBound)
	ticket := s.Get("/account/approvals").Want(t, 200, "pay", more).Hidden("flow|ticket")[0]
	s.Post("/account/approvals", allow(ticket)).Leads(t, "/login/enrol?application="+h.apps[identity.DefaultTenant].ID+"&kind=bound&then=%2Faccount%2Fapprovals")
	secret := h.telephone()
	h.wants(federation.MFAOTP)
	late := s.Post("/account/approvals", allow(ticket))
	late.Leads(t, "/login?flow=")
	if h.approval(q) != ciba.Pending {
		t.Fatal("allowed with a password alone")
	}
	list := s.Get(s.prove(late.Header.Get("Location"), secret)).Want(t, 200, "pay")
	s.Post("/account/approvals", allow(list.Hidden("flow|ticket")[0])).Leads(t, "/account/approvals?done=allowed")
	if h.approval(q) != ciba.Approved {
		t.Error("not allowed with all that was asked")
	}
}

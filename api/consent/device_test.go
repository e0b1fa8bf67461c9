package consent

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/resource"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/session"
)

func allow(ticket string) url.Values { return url.Values{"ticket": {ticket}, "decision": {"allow"}} }

// question signs in and goes as far as the question about a device.
func (s *someone) question(a *device.Authorization) (ticket string) {
	s.t.Helper()
	s.SignIn(s.Get("/device"), "", "ada", "right")
	q := s.Post("/device", url.Values{"user_code": {strings.ToLower(a.UserCode)}}).Want(s.t, 200)
	return q.Hidden("flow|ticket")[0]
}

func TestADeviceIsLetIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	s := h.someone()
	back := s.SignIn(s.Get("/device?user_code="+device.ShowUserCode(a.UserCode)), "", "ada", "right")
	s.Get(back).Want(t, 200, `value="`+device.ShowUserCode(a.UserCode)+`"`, "Connect a device")
	q := s.Post("/device", url.Values{"user_code": {a.UserCode}})
	q.Want(t, 200, "Television", device.ShowUserCode(a.UserCode), "203.0.113.7", "tv/1 &lt;b&gt;", "Nobody who helps you",
		"another network", "See your name", "while you are signed out", "lights:switch", "ada")
	if h.state(a) != device.Pending {
		t.Fatal("showing the question has decided it")
	}
	before := h.cluster.Entries()
	s.Post("/device/decision", allow(q.Hidden("flow|ticket")[0])).Want(t, 200, "The device is let in")
	if n := h.cluster.Entries() - before; n != 1 || h.state(a) != device.Approved {
		t.Errorf("%d entries, state %d", n, h.state(a))
	}
	s.Post("/device/decision", allow(q.Hidden("flow|ticket")[0])).Want(t, 410)
}

func TestADeviceIsRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, decision := range []string{"deny", "", "Allow", "yes"} {
		a := h.device(h.apps[identity.DefaultTenant])
		s := h.someone()
		ticket := s.question(a)
		s.Post("/device/decision", url.Values{"ticket": {ticket}, "decision": {decision}}).Want(t, 200, "is refused")
		if h.state(a) != device.Denied {
			t.Errorf("decision %q: state %d", decision, h.state(a))
		}
	}
}

// A complete link must not decide anything, nor even look the code up (RFC 8628, section 5.4).
func TestRefusesApprovalByALink(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	s := h.someone()
	ticket := s.question(a)
	for _, path := range []string{
		"/device?user_code=" + a.UserCode + "&decision=allow", "/device?user_code=" + a.UserCode + "&ticket=" + ticket + "&decision=allow",
	} {
		if page := s.Get(path).Want(t, 200); strings.Contains(page.Page, "Television") {
			t.Errorf("%s tells what waits", path)
		}
	}
	s.Get("/device/decision?"+allow(ticket).Encode()).Want(t, http.StatusMethodNotAllowed)
	// Fields in the query of a post are fields of a link, too.
	s.Post("/device/decision?"+allow(ticket).Encode(), url.Values{}).Want(t, 410)
	if h.state(a) != device.Pending {
		t.Errorf("state %d", h.state(a))
	}
}

func TestRefusesCSRFOnDeviceDecision(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	s := h.someone()
	ticket := s.question(a)
	for what, header := range map[string]http.Header{
		"origin": {"Origin": {"https://evil.example"}}, "fetch metadata": {"Sec-Fetch-Site": {"cross-site"}}, "sibling": {"Sec-Fetch-Site": {"same-site"}},
	} {
		if got := s.Send("POST", "/device/decision", allow(ticket), header); got.StatusCode != 403 {
			t.Errorf("%s: %d", what, got.StatusCode)
		}
	}
	for what, form := range map[string]url.Values{
		"no ticket": {"decision": {"allow"}}, "made up": allow("AAAA"), "user code": allow(a.UserCode), "long": allow(strings.Repeat("A", 4096)),
	} {
		if got := s.Post("/device/decision", form); got.StatusCode != 410 {
			t.Errorf("%s: %d", what, got.StatusCode)
		}
	}
	if h.state(a) != device.Pending {
		t.Errorf("state %d", h.state(a))
	}
}

// A question that was shown in one session is not answered in another: a thief who begins
// with their own browser cannot have a victim's send the end of it.
func TestRefusesATicketOfAnotherSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	thief, victim := h.someone(), h.someone()
	ticket := thief.question(a)
	victim.SignIn(victim.Get("/device"), "", "grace", "right")
	victim.Post("/device/decision", allow(ticket)).Want(t, 410)
	other := h.someone()
	other.SignIn(other.Get("/device"), "", "ada", "right") // the same user's other browser
	other.Post("/device/decision", allow(ticket)).Want(t, 410)
	victim.Post("/account/approvals", allow(ticket)).Want(t, 410)
	h.someone().Post("/device/decision", allow(ticket)).Want(t, 303)
	if h.state(a) != device.Pending {
		t.Errorf("state %d", h.state(a))
	}
}

func TestRefusesDecisionsLongAfterSignIn(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.someone()
	s.SignIn(s.Get("/device"), "", "ada", "right")
	h.pass(MaxAge - time.Minute)
	a := h.device(h.apps[identity.DefaultTenant])
	q := s.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200)
	h.pass(2 * time.Minute)
	again := s.Post("/device/decision", allow(q.Hidden("flow|ticket")[0]))
	if h.state(a) != device.Pending {
		t.Fatal("decided long after signing in")
	}
	s.Get(s.SignIn(again, "", "ada", "right")).Want(t, 200, "Connect a device")
	s.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200, "Television")
}

// What a device asks for in particular is shown, and so is the API that it is good at.
// TestRefusesDecisionsOfASessionThatEndedMeanwhile: between the look at the cookie and the log entry.
func TestRefusesDecisionsOfASessionThatEndedMeanwhile(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	v := &visitor{}
	h.update(func(tx *fsm.Tx) error {
		started, err := h.pages.cfg.Sessions.Start(tx, session.Session{Tenant: identity.DefaultTenant, UserID: h.users[identity.DefaultTenant+" ada"]})
		if err == nil {
			v.Session = &started.Session
		}
		return err
	})
	h.update(func(tx *fsm.Tx) error { return session.End(tx, v.Tenant, v.ID) })
	for _, how := range []func(*fsm.Tx, string, family.ID, *session.Session) error{device.Approve, device.Deny} {
		if err := h.pages.decide(t.Context(), v, a.Family, how); !errors.Is(err, fsm.ErrNotFound) || h.state(a) != device.Pending {
			t.Errorf("error %v, state %d", err, h.state(a))
		}
	}
}

func TestADevicesDetailsAreShown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	app := h.apps[identity.DefaultTenant]
	h.update(func(tx *fsm.Tx) error {
		_, err := resource.CreateServer(tx, resource.Server{
			Tenant: app.Tenant, Identifier: "https://lights.example/", Name: "Lights & Co", OpenToAll: true,
			Details: []resource.DetailType{{
				Name: "switch", Texts: resource.Texts{"en": "Switch a lamp"}, Members: []resource.Member{{Name: "room", Kind: resource.KindString, Max: 20, Label: "Room"}},
			}},
		})
		return err
	})
	details, err := resource.ReadDetails(`[{"type":"switch","room":"<hall>"}]`)
	if err != nil {
		t.Fatal(err)
	}
	a := &device.Authorization{
		Grant:  family.Grant{Scope: []string{"openid"}, Resources: []string{"https://lights.example/"}, Details: resource.Spell(details)},
		Tenant: app.Tenant, Application: app.ID, ClientID: app.ClientID,
	}
	h.update(func(tx *fsm.Tx) error { return device.Start(tx, a) })
	s := h.someone()
	s.SignIn(s.Get("/device"), "", "ada", "right")
	s.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200, "<li>Switch a lamp · Room: &lt;hall&gt;</li>", "Lights &amp; Co")
	// In another language, what has no words in it says so.
	s.Send("POST", "/device", url.Values{"user_code": {a.UserCode}}, http.Header{"Accept-Language": {"de"}}).
		Want(t, 200, "<li>Erkennen, dass Sie", `<li lang="en">Switch a lamp`, "<li>„Lights &amp; Co“")
}

func TestRefusesUserCodeOfAnotherTenant(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps["acme"])
	s := h.someone()
	s.SignIn(s.Get("/device"), "", "ada", "right")
	s.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 404, "No device waits with this code")
	guest := h.someone()
	guest.SignIn(guest.Get("/t/acme/device"), "/t/acme", "ada", "right")
	q := guest.Post("/t/acme/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200, `action="/t/acme/device/decision"`)
	s.Post("/device/decision", allow(q.Hidden("flow|ticket")[0])).Want(t, 410)
	if h.state(a) != device.Pending {
		t.Errorf("state %d", h.state(a))
	}
}

func TestThrottlesGuessesOfUserCodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a := h.device(h.apps[identity.DefaultTenant])
	s := h.someone()
	s.SignIn(s.Get("/device"), "", "ada", "right")
	for range 20 { // of what cannot be a code nothing is learned
		s.Post("/device", url.Values{"user_code": {"AAAA-0000"}}).Want(t, 404)
	}
	for range PerUser.Burst {
		s.Post("/device", url.Values{"user_code": {"BBBB-BBBB"}}).Want(t, 404)
	}
	held := s.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 429, "too many codes")
	if held.Header.Get("Retry-After") == "" {
		t.Error("no word of when to come back")
	}
	again := h.someone() // signing in anew is no way around it
	again.SignIn(again.Get("/device"), "", "ada", "right")
	again.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 429)
	other := h.someone()
	other.SignIn(other.Get("/device"), "", "grace", "right")
	other.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200)
	for range 2 * PerAddress.Burst { // hits do not count
		other.Post("/device", url.Values{"user_code": {a.UserCode}}).Want(t, 200)
	}
}

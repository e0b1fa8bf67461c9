package passkey

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// leads signs out and in again, in a browser whose script says that it makes passkeys or
// not, and returns where that leads.
func (v *visit) leads(makes string) string {
	v.House.T.Helper()
	v.Post("/logout", url.Values{})
	form := v.Get(v.Get(newPath).Header.Get("Location"))
	done := v.Post("/login", url.Values{"flow": form.Hidden("flow"), "username": {"ada"}, "password": {portaltest.Password}, "makes": {makes}})
	at, ok := strings.CutPrefix(done.Header.Get("Refresh"), "0; url=")
	if !ok {
		v.House.T.Fatalf("not signed in: %d %s", done.StatusCode, done.Page)
	}
	return at
}

// offered is leads to the offer; then is where it leads on to.
func (v *visit) offered() (offer, then string) {
	v.House.T.Helper()
	offer = v.leads("yes")
	u, err := url.Parse(offer)
	if err != nil || u.Path != offerPath {
		v.House.T.Fatalf("signing in leads to %s, not to the offer: %v", offer, err)
	}
	return offer, u.Query().Get("then")
}

func TestPasskeyIsOfferedAfterAPassword(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	if to := v.leads(""); !strings.HasPrefix(to, newPath+"?flow_done=") {
		t.Errorf("without a script signing in leads to %s", to)
	}
	offer, then := v.offered()
	if !strings.HasPrefix(then, newPath+"?flow_done=") {
		t.Errorf("the offer leads on to %s", then)
	}
	body := v.see("offer", offer, "Next time without a password", "Not now", "/assets/passkey-")
	if data(body, "then") != then {
		t.Errorf("the script leads on to %s", data(body, "then"))
	}
	quietly := &passkeytest.Authenticator{Origin: publicURL, Absent: true, Synced: true, BackedUp: true}
	made := func(options, session string) url.Values {
		response, err := quietly.Create([]byte(data(body, options)))
		if err != nil {
			t.Fatal(err)
		}
		return url.Values{"session": {field(body, "session")}, "quietly": {field(body, "quietly")}, "unasked": {session}, "response": {string(response)}}
	}
	// What the person has asked for needs their touch; what was made without asking does not.
	v.refused(offer, made("options", ""), "has to ask for your PIN")
	v.refused(offer, made("unasked", ""), "has to ask for your PIN")
	taken := v.Post(offer, made("unasked", "yes")).Want(t, http.StatusOK, "Your passkey is added")
	if to := taken.Header.Get("Refresh"); to != "1; url="+newPath {
		t.Errorf("leads to %s", to)
	}
	if n := len(v.keys()); n != 1 {
		t.Errorf("%d passkeys", n)
	}
	// Nobody chose it, so the password is still enough, and no other one is offered.
	if to := v.leads("yes"); !strings.HasPrefix(to, newPath+"?flow_done=") {
		t.Errorf("with a passkey made unasked signing in leads to %s", to)
	}
}

// A passkey that the person has asked for is asked for behind the password from then on.
func TestOfferedPasskeyIsAskedFor(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	offer, _ := v.offered()
	body := v.see("offer_asked", offer, "Next time without a password")
	made, err := (&passkeytest.Authenticator{Origin: publicURL, UV: true, Synced: true, BackedUp: true}).Create([]byte(data(body, "options")))
	if err != nil {
		t.Fatal(err)
	}
	v.Post(offer, url.Values{"session": {field(body, "session")}, "response": {string(made)}}).Want(t, http.StatusOK)
	v.Post("/logout", url.Values{})
	a := v.Post("/login", url.Values{"flow": v.Get("/login").Hidden("flow"), "username": {"ada"}, "password": {portaltest.Password}, "makes": {"yes"}}).
		Want(t, http.StatusOK, "Use your passkey or security key.")
	if strings.Contains(a.Page, `name="code"`) {
		t.Errorf("a code is asked for: %s", a.Page)
	}
}

func TestOfferCanBePutOff(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	offer, then := v.offered()
	later := strings.Replace(offer, offerPath, laterPath, 1)
	v.see("offer_later", offer, strings.ReplaceAll(later, "&", "&amp;"))
	v.Get(later).Leads(t, then)
	if to := v.leads("yes"); !strings.HasPrefix(to, newPath) {
		t.Errorf("offered again at once: %s", to)
	}
	v.Pass(quiet + time.Hour)
	v.offered()
	if to := v.Get(laterPath + "?then=" + url.QueryEscape("https://evil.example.com/")).Header.Get("Location"); to != "/" {
		t.Errorf("a stranger's link leads to %s", to)
	}
}

// Where passkeys are not wanted none is offered, and where they must be of a kind none is made unasked.
func TestOfferFollowsTheTenant(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	decide := func(change func(a *settings.Authentication)) {
		v.Update(func(tx *fsm.Tx) error {
			a, _, err := settings.Get(tx, identity.DefaultTenant)
			if err != nil {
				return err
			}
			change(a)
			return settings.Put(tx, 0, *a)
		})
	}
	decide(func(a *settings.Authentication) { a.Passkey.ForbidSynced = true })
	offer, _ := v.offered()
	if body := v.see("offer_bound", offer, "data-options="); strings.Contains(body, "data-unasked") {
		t.Error("a passkey that the tenant refuses is made unasked")
	}
	decide(func(a *settings.Authentication) { a.PasskeyLogin = false })
	if to := v.leads("yes"); !strings.HasPrefix(to, newPath) {
		t.Errorf("signing in leads to %s", to)
	}
}

func TestNoPasskeyIsOfferedOnATrustedDevice(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	s := New(Config{DB: v.DB, Ring: v.Ring, Memory: memory.Memory{Ring: v.Ring}})
	r := httptest.NewRequest(http.MethodPost, "/login", nil)
	r = r.WithContext(identity.WithTenant(r.Context(), identity.Tenant{ID: identity.DefaultTenant, Issuer: publicURL}))
	in := &session.Session{UserID: v.Users["ada"], Factors: []assurance.Factor{{Method: assurance.Password}}}
	if to := s.Offer(r, in, "/account"); to == "" {
		t.Fatal("none is offered after a password")
	}
	in.Factors = append(in.Factors, assurance.Factor{Method: assurance.Device})
	if to := s.Offer(r, in, "/account"); to != "" {
		t.Errorf("who trusts the device is led to %s, which asks for the second factor", to)
	}
}

package factor

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// form is what the page for a new app would post, with a good code.
func (s *someone) form(a pagetest.Answer, name string) url.Values {
	s.T.Helper()
	secret, err := totptest.Secret(a.One(s.T, `<code>([A-Z2-7 ]+)</code>`))
	if err != nil {
		s.T.Fatal(err)
	}
	code := ""
	s.view(func(tx *fsm.Tx) error { code = totp.Parameters{}.Code(secret, tx.Now()); return nil })
	return url.Values{"token": {a.One(s.T, `name="token" value="([^"]+)"`)}, "code": {code}, "name": {name}}
}

func (h *house) view(fn func(tx *fsm.Tx) error) {
	h.T.Helper()
	if err := h.DB.View(h.T.Context(), fn); err != nil {
		h.T.Fatal(err)
	}
}

// add adds an app and returns its page.
func (s *someone) add(name string) string {
	s.T.Helper()
	s.Post(newApp, s.form(s.Get(newApp), name)).Want(s.T, http.StatusSeeOther)
	return s.Get(securityPath).One(s.T, `href="(/account/security/apps/otp_[^"]+)" aria-label="Change `+name+`"`)
}

func TestAddingAnApp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	s.Get(securityPath).Want(t, 200, "Authenticator apps", `href="/account/security/apps/new"`, "Recovery codes")
	before := h.Cluster.Entries()
	a := s.Get(newApp).Want(t, 200, `<svg class="qr"`, `href="otpauth://totp/`, "ada%40example.com", `autocomplete="one-time-code"`)
	if h.Cluster.Entries() != before {
		t.Error("showing a QR code wrote to the log")
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("a secret may be stored")
	}
	f := s.form(a, "Phone")
	wrong := url.Values{"token": f["token"], "code": {"000000"}, "name": {"Phone"}}
	if f.Get("code") == "000000" {
		wrong.Set("code", "111111")
	}
	again := s.Post(newApp, wrong).Want(t, 422, `id="code-error"`, `value="Phone"`)
	if s.form(again, "")["token"][0] != f.Get("token") {
		t.Error("a wrong code costs the secret")
	}
	s.Post(newApp, url.Values{"token": f["token"], "code": f["code"]}).Want(t, 422, `id="name-error"`)
	s.Post(newApp, f).Leads(t, "/account/security/codes?done=app")
	s.Get("/account/security/codes?done=app").Want(t, 200, "Your authenticator app is added", "Show me ten codes")
	s.Post(newApp, f).Leads(t, "/account/security") // a double click
	s.Get(securityPath+"?done=app").Want(t, 200, "Your authenticator app is added", "Phone", "Not used yet")
	if a := h.enter("grace").Get(securityPath); strings.Contains(a.Page, "Phone") {
		t.Error("another's app is shown")
	}
	h.enter("grace").Post(newApp, f).Want(t, 422) // somebody else's token
	expired := s.form(s.Get(newApp), "Late")
	h.Pass(14 * time.Minute)
	s.Get(newApp).Want(t, 200)
	h.Pass(2 * time.Minute) // the proof is older than sensitive changes allow
	s.Get(newApp).Leads(t, "/login?flow=")
	s.Post(newApp, expired).Leads(t, "/login?flow=")
}

// Attack: whoever has a stolen password adds something that lasts in the very moment in which its owner sets a factor up
// elsewhere, by which they would be asked for it.
func TestAFactorThatComesMeanwhileIsAskedFor(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	theirs := s.form(s.Get(newApp), "Theirs")
	h.meanwhile = func() {
		h.Update(func(tx *fsm.Tx) error { _, _, err := totptest.Add(tx, h.Ring, ten, s.id, "Hers"); return err })
	}
	s.Post(newApp, theirs).Leads(t, "/login?flow=")
	h.view(func(tx *fsm.Tx) error {
		all, err := totp.List(tx, ten, s.id)
		if len(all) != 1 || all[0].Name != "Hers" {
			t.Errorf("apps: %+v", all)
		}
		return err
	})

	s = h.enter("grace")
	h.meanwhile = func() {
		h.Update(func(tx *fsm.Tx) error { _, _, err := totptest.Add(tx, h.Ring, ten, s.id, "Hers"); return err })
	}
	s.Post(codesPath, nil).Leads(t, "/login?flow=")
	h.view(func(tx *fsm.Tx) error {
		set, err := recovery.Get(tx, ten, s.id)
		if set != nil {
			t.Error("codes were made")
		}
		return err
	})
}

func TestNoFactorWhileAMemberIsOlder(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	h.older = true
	s.Get(newApp).Want(t, 503)
	s.Post(codesPath, nil).Want(t, 503)
	h.view(func(tx *fsm.Tx) error {
		set, err := recovery.Get(tx, ten, s.id)
		if set != nil {
			t.Error("codes were made")
		}
		return err
	})
}

func TestRenamingAndRemovingAnApp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	at := s.add("Phone")
	s.Get(at).Want(t, 200, `value="Phone"`, "Remove")
	s.Post(at, url.Values{"name": {" "}}).Want(t, 422, `id="name-error"`)
	s.Post(at, url.Values{"name": {"<Tablet>"}}).Leads(t, securityPath+"?done=app-renamed")
	s.Get(at).Want(t, 200, "&lt;Tablet&gt;")
	other := h.enter("grace")
	other.Get(at).Want(t, 404)
	other.Post(at, url.Values{"name": {"x"}}).Want(t, 404)
	other.Post(at+"/remove", nil).Want(t, 404)

	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.MFAPolicy, a.MFAEnforce = settings.MFAAny, true
		return settings.Put(tx, 0, a)
	})
	s.Get(at).Want(t, 200, "this is your only one. Add a passkey first.", `href="/account/security/passkeys/new">Add a passkey`)
	s.Post(at+"/remove", nil).Want(t, 422, "this is your only one")
	s.add("Second")
	s.Post(at+"/remove", nil).Leads(t, securityPath+"?done=app-removed")
	s.Get(at).Want(t, 404)
	s.Get(securityPath).Want(t, 200, "Second")
	h.Pass(16 * time.Minute)
	s.Post(at+"/remove", nil).Leads(t, "/login?flow=")
}

// A tenant may close a way; who has it still sees it, and can take it away.
func TestAppsThatAreNotAllowed(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	s.add("Phone")
	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.MFAMethods = []string{settings.MethodPasskey}
		return settings.Put(tx, 0, a)
	})
	if a := s.Get(securityPath).Want(t, 200, "Phone"); strings.Contains(a.Page, newApp) {
		t.Error("apps can be added")
	}
	if a := h.enter("grace").Get(securityPath).Want(t, 200); strings.Contains(a.Page, "Authenticator apps") {
		t.Error("apps are shown to who has none")
	}
	s.Get(newApp).Want(t, 403)
	s.Post(newApp, nil).Want(t, 403)
}

func TestRecoveryCodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	s.Get(codesPath).Want(t, 200, "Show me ten codes", "Not now")
	a := s.Post(codesPath, nil).Want(t, 200, "only time", `download="recovery-codes.txt"`, `href="data:text/plain;charset=utf-8,`)
	shown := regexp.MustCompile(`<li><code>([0-9a-z-]+)</code>`).FindAllStringSubmatch(a.Page, -1)
	if len(shown) != recovery.Count {
		t.Fatalf("%d codes", len(shown))
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Error("codes may be stored")
	}
	for _, m := range shown {
		if !strings.Contains(a.One(t, `href="(data:[^"]+)"`), m[1]) {
			t.Errorf("the file lacks %s", m[1])
		}
	}
	for _, path := range []string{codesPath, securityPath} {
		if b := s.Get(path).Page; strings.Contains(b, shown[0][1]) {
			t.Errorf("%s shows the codes once more", path)
		}
	}
	s.Get(securityPath).Want(t, 200, "10 of 10 codes left", "Make new codes")
	for _, m := range shown[:8] {
		h.Update(func(tx *fsm.Tx) error {
			proof, err := recovery.Check(tx, h.Ring, ten, s.id, m[1])
			if err != nil {
				return err
			}
			_, err = recovery.Accept(tx, ten, s.id, proof)
			return err
		})
	}
	s.Get(securityPath).Want(t, 200, "2 of 10 codes left", "few left")
	s.Get(codesPath).Want(t, 200, "take the place")
	s.Post(codesPath, nil).Want(t, 200)
	s.Get(securityPath).Want(t, 200, "10 of 10 codes left")
	h.Pass(16 * time.Minute)
	s.Get(codesPath).Want(t, 200)
	s.Post(codesPath, nil).Leads(t, "/login?flow=")
}

func TestRemovingRecoveryCodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s, other, grace := h.enter("ada"), h.enter("ada"), h.enter("grace")
	s.Get(removeCodesPath).Leads(t, securityPath) // there are none
	for _, b := range []*someone{s, grace} {
		b.Post(codesPath, nil).Want(t, 200)
	}
	h.Update(func(tx *fsm.Tx) error {
		_, _, err := device.Trust(tx, h.Ring, ten, s.id, "Firefox on Linux", time.Hour)
		return err
	})
	s.Get(securityPath).Want(t, 200, `href="`+removeCodesPath+`" aria-label="Remove your recovery codes"`)

	h.Update(func(tx *fsm.Tx) error {
		a := settings.Default(ten)
		a.MFAPolicy, a.MFAEnforce = settings.MFAAny, true
		if err := session.Prove(tx, ten, s.session, assurance.Factor{Method: assurance.Recovery}); err != nil {
			return err
		}
		return settings.Put(tx, 0, a)
	})
	if a := s.Get(removeCodesPath).Want(t, 200, "this is your only one"); strings.Contains(a.Page, "Remove the codes") {
		t.Error("the last factor that is asked for can be removed")
	}
	s.Post(removeCodesPath, nil).Want(t, 422, `role="alert"`, "this is your only one")
	s.add("Phone")
	s.Get(removeCodesPath).Want(t, 200, "no code on paper", "Remove the codes")
	s.Get(securityPath).Want(t, 200, "10 of 10 codes left", "Firefox on Linux")
	s.Post(removeCodesPath, nil).Leads(t, securityPath+"?done=codes-removed")
	if a := s.Get(securityPath+"?done=codes-removed").Want(t, 200, "Your recovery codes are removed", "Make recovery codes"); strings.Contains(a.Page, "Firefox on Linux") {
		t.Error("a device is trusted as before")
	}
	s.Post(removeCodesPath, nil).Leads(t, securityPath+"?done=codes-removed") // a double click
	other.Get(securityPath).Want(t, 200)                                      // nobody is signed out
	grace.Get(securityPath).Want(t, 200, "10 of 10 codes left")
	s.Post(codesPath, nil).Want(t, 200)
	h.Pass(16 * time.Minute)
	s.Get(removeCodesPath).Leads(t, "/login?flow=")
	s.Post(removeCodesPath, nil).Leads(t, "/login?flow=")
	var told []string
	h.view(func(tx *fsm.Tx) error {
		all, _, err := event.List(tx, ten, event.Query{})
		for _, e := range all {
			if e.Type == event.FactorRemoved {
				told = append(told, e.Target.Kind+" "+e.Actor.ID)
			}
		}
		return err
	})
	if len(told) != 1 || told[0] != "recovery_codes "+s.id {
		t.Errorf("told is %q", told)
	}
}

func TestTrustedDevices(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	s := h.enter("ada")
	if a := s.Get(securityPath); strings.Contains(a.Page, "Trusted devices") {
		t.Error("a card about nothing")
	}
	var ids []string
	for _, name := range []string{"Firefox on Linux", "Safari on iPhone", "Edge on Windows"} {
		h.Update(func(tx *fsm.Tx) error {
			d, _, err := device.Trust(tx, h.Ring, ten, s.id, name, 30*24*time.Hour)
			ids = append(ids, d.ID)
			return err
		})
	}
	s.Get(securityPath).Want(t, 200, "Trusted devices", "Firefox on Linux", "Trusted until", "Stop trusting all of them")
	grace, phone := h.enter("grace"), devicesPath+"/"+ids[1]
	grace.Post(devicesPath, url.Values{"device": {ids[0]}}).Leads(t, securityPath)
	grace.Get(phone).Want(t, 404)
	grace.Post(phone, url.Values{"name": {"Hers"}}).Want(t, 404)
	s.Get(phone).Want(t, 200, "Change Safari on iPhone", `value="Safari on iPhone"`, "Save the name")
	s.Post(phone, url.Values{"name": {" "}}).Want(t, 422, "Something needs another look.")
	s.Post(phone, url.Values{"name": {"Telephone"}}).Leads(t, securityPath+"?done=device-renamed")
	if a := s.Get(securityPath+"?done=device-renamed").Want(t, 200, "The new name is saved.", "Telephone"); strings.Contains(a.Page, "Safari on iPhone") {
		t.Error("called as before")
	}
	s.Get(securityPath).Want(t, 200, "Firefox on Linux")
	s.Post(devicesPath, url.Values{"device": {ids[0]}}).Leads(t, securityPath+"?done=device")
	if a := s.Get(securityPath+"?done=device").Want(t, 200, "not trusted any more", "Telephone"); strings.Contains(a.Page, "Firefox on Linux") {
		t.Error("still trusted")
	}
	s.Post(devicesPath, url.Values{"all": {"yes"}}).Leads(t, securityPath+"?done=devices")
	if a := s.Get(securityPath); strings.Contains(a.Page, "Telephone") {
		t.Error("still trusted")
	}
}

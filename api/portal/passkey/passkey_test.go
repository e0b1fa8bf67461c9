package passkey

import (
	"context"
	"encoding/base64"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/page/pagetest"
	"github.com/quis-idp/quis/api/portal/portaltest"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

const publicURL = portaltest.PublicURL

// A visit is somebody signed in, in front of a running front door.
type visit struct {
	*portaltest.House
	*pagetest.Browser
	user string
}

func newVisit(t *testing.T, public string) *visit {
	t.Helper()
	v := newDoor(portaltest.New(t), public)
	v.enter("ada")
	return v
}

// newDoor is a browser before the front door of a house, with nobody in it.
func newDoor(h *portaltest.House, public string) *visit {
	h.T.Helper()
	v := &visit{House: h}
	remembers := memory.Memory{Ring: v.Ring}
	heeded := func(context.Context) error { return nil }
	own := New(Config{DB: v.DB, Ring: v.Ring, Memory: remembers, Modern: heeded, Keys: heeded})
	v.OpenAs(httptest.NewUnstartedServer(nil), api.Config{PublicURL: public, Rooms: []api.Room{
		v.Login(login.Config{Memory: remembers, Offer: own.Offer}), v.Portal(own),
	}})
	v.Browser = pagetest.NewBrowser(h.T, h.URL)
	return v
}

// enter signs somebody in who is new here.
func (v *visit) enter(name string) {
	v.House.T.Helper()
	v.Person(directory.User{Username: name, Name: "Ada Lovelace"}, true)
	v.user = v.Users[name]
	v.Browser.SignIn(v.Get(newPath), "", name, portaltest.Password)
}

// see gets a page, checks it, and keeps it to be looked at.
func (v *visit) see(name, path string, contains ...string) string {
	t := v.House.T
	t.Helper()
	body := v.Get(path).Want(t, http.StatusOK, contains...).Page
	pagetest.Check(t, name, body)
	pagetest.Keep(t, name, strings.ReplaceAll(body, "<form class=\"form\" method=\"post\" action=\""+newPath+"\" hidden", "<form class=\"form\""))
	return body
}

// done posts a form that is taken, and returns where it leads.
func (v *visit) done(path string, form url.Values) string {
	v.House.T.Helper()
	return v.Post(path, form).Want(v.House.T, http.StatusSeeOther).Header.Get("Location")
}

// refused posts a form that is not taken.
func (v *visit) refused(path string, form url.Values, sentence string) {
	v.House.T.Helper()
	if a := v.Post(path, form).Want(v.House.T, http.StatusUnprocessableEntity); !strings.Contains(html.UnescapeString(a.Page), sentence) {
		v.House.T.Errorf("POST %s: want %q: %s", path, sentence, a.Page)
	}
}

func field(body, name string) string {
	m := regexp.MustCompile(`name="` + name + `" value="([^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

func data(body, name string) string {
	m := regexp.MustCompile(`data-` + name + `="([^"]*)"`).FindStringSubmatch(body)
	if m == nil {
		return ""
	}
	return html.UnescapeString(m[1])
}

// make is what the script does with the form.
func (v *visit) make(a *passkeytest.Authenticator, name string) url.Values {
	v.House.T.Helper()
	return v.makeAt(newPath, a, name)
}

func (v *visit) makeAt(page string, a *passkeytest.Authenticator, name string) url.Values {
	v.House.T.Helper()
	body := v.see("new", page, "/assets/passkey-")
	response, err := a.Create([]byte(data(body, "options")))
	if err != nil {
		v.House.T.Fatal(err)
	}
	return url.Values{"session": {field(body, "session")}, "response": {string(response)}, "name": {name}}
}

func (v *visit) keys() (ids []string) {
	v.House.T.Helper()
	err := v.DB.View(v.House.T.Context(), func(tx *fsm.Tx) error {
		for k, err := range passkey.List(tx, identity.DefaultTenant, v.user) {
			if err != nil {
				return err
			}
			ids = append(ids, k.ID)
		}
		return nil
	})
	if err != nil {
		v.House.T.Fatal(err)
	}
	return ids
}

func TestAPersonsPasskeys(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	phone := &passkeytest.Authenticator{Origin: publicURL, UV: true, Synced: true, BackedUp: true}
	key := &passkeytest.Authenticator{Origin: publicURL, UV: true, Counts: true}
	v.see("none", security, "Add a passkey")
	form := v.make(phone, "My phone")
	body := v.see("added", v.done(newPath, form), "Your passkey is added.", "/assets/passkey-")
	if !strings.Contains(data(body, "passkey-accepted"), v.accepted(phone)) || !strings.Contains(data(body, "passkey-details"), "Ada Lovelace") {
		t.Error("the browser is not told")
	}
	v.refused(newPath, form, "registered already")
	v.see("named", v.done(newPath, v.make(key, "")), "Your passkey is added.")
	v.see("security", security, "My phone", "Kept for all your devices", "Stays on one device", "Not used yet")
	ids := v.keys()
	one := path + "/" + ids[0]
	v.see("one", one, "Change My phone", "Save the name", "Remove")
	v.refused(one, url.Values{"name": {" "}}, "Give the passkey a name.")
	v.see("renamed", v.done(one, url.Values{"name": {"Old phone"}}), "its new name")
	v.see("removed", v.done(one+"/remove", url.Values{}), "is removed")
	if got := v.keys(); len(got) != 1 || got[0] != ids[1] {
		t.Errorf("left are %v", got)
	}
	v.Get(one).Want(t, http.StatusNotFound)
	// The last way to sign in stays.
	v.Update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, v.user) })
	v.see("last", path+"/"+ids[1], "your only way to sign in. Add a passkey first.", `href="`+newPath+`">Add a passkey`)
	v.refused(path+"/"+ids[1]+"/remove", url.Values{}, "your only way to sign in")
	// A proof that is old has to be given again.
	v.Pass(time.Hour)
	for _, p := range []string{newPath, path + "/" + ids[1] + "/remove"} {
		if to := v.done(p, url.Values{}); !strings.HasPrefix(to, "/login?flow=") {
			t.Errorf("POST %s leads to %s", p, to)
		}
	}
}

// What the organization denies, or FIDO's metadata report, is marked, does not count as a way to sign
// in, and can be removed.
func TestAPasskeyThatIsRefusedIsMarked(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	model := [16]byte{1}
	one := &passkeytest.Authenticator{Origin: publicURL, UV: true, AAGUID: model}
	other := &passkeytest.Authenticator{Origin: publicURL, UV: true}
	v.done(newPath, v.make(one, "Blue key"))
	v.done(newPath, v.make(other, "Laptop"))
	ids := v.keys()
	deny := func(models ...string) {
		t.Helper()
		v.Update(func(tx *fsm.Tx) error {
			s := settings.Default(identity.DefaultTenant)
			s.Passkey.Deny = models
			return settings.Put(tx, 0, s)
		})
	}
	const aaguid = "01000000-0000-0000-0000-000000000000"
	if body := v.Get(security).Page; strings.Contains(body, "not accepted") {
		t.Error("marked before")
	}
	deny(aaguid)
	v.see("denied", security, "not accepted", "your organization does not accept this kind")
	// The other is the only one that counts now.
	v.Update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, v.user) })
	v.refused(path+"/"+ids[1]+"/remove", url.Values{}, "your only way to sign in")
	deny()
	fido, err := passkeytest.NewFIDO()
	if err != nil {
		t.Fatal(err)
	}
	blob, err := fido.Blob(1, time.Now().AddDate(0, 1, 0), passkeytest.Model{AAGUID: aaguid, Description: "A key", Status: "REVOKED"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := passkey.ParseMetadata(blob, fido.Roots, time.Now())
	if err == nil {
		err = m.Import(t.Context(), v.DB)
	}
	if err != nil {
		t.Fatal(err)
	}
	v.see("unsafe", security, "not accepted", "this kind has been reported as unsafe")
	v.see("removed", v.done(path+"/"+ids[0]+"/remove", url.Values{}), "is removed")
}

// A security key is added as what comes after the password, and does not keep anybody in alone.
func TestASecurityKeyOfAPerson(t *testing.T) {
	t.Parallel()
	v := newVisit(t, publicURL)
	key := &passkeytest.Authenticator{Origin: publicURL, NoHandle: true}
	v.see("passkey", newPath, "Add a passkey", keyPath)
	v.see("key", keyPath, "Add a security key", "Add a passkey instead")
	v.see("added", v.done(keyPath, v.makeAt(keyPath, key, "Blue key")), "asked for it after your password")
	v.see("security", security, "Blue key", "Asked for after your password")
	phone := &passkeytest.Authenticator{Origin: publicURL, UV: true}
	v.see("added", v.done(newPath, v.make(phone, "My phone")), "Your passkey is added.")
	v.Update(func(tx *fsm.Tx) error { return credential.DeleteAllOf(tx, identity.DefaultTenant, v.user) })
	if body := v.see("no password", newPath, "Add a passkey"); strings.Contains(body, keyPath) {
		t.Error("a security key is offered to who has nothing that comes before it")
	}
	if a := v.Get(keyPath).Want(t, http.StatusUnprocessableEntity); !strings.Contains(a.Page, "asked for after a password") {
		t.Errorf("a key without a password: %s", a.Page)
	}
	ids := v.keys()
	v.see("last", path+"/"+ids[1], "your only way to sign in")
	v.see("removed", v.done(path+"/"+ids[0]+"/remove", url.Values{}), "is removed")
}

func (v *visit) accepted(a *passkeytest.Authenticator) string {
	return strings.TrimRight(b64(a.Keys[0].ID), "=")
}

func TestFormsOfStrangers(t *testing.T) {
	t.Parallel()
	v, other := newVisit(t, publicURL), newVisit(t, publicURL)
	a := &passkeytest.Authenticator{Origin: publicURL, UV: true}
	form := v.make(a, "x")
	foreign := other.make(a, "x")
	for what, change := range map[string]func(url.Values){
		"no session":         func(f url.Values) { f.Del("session") },
		"a foreign session":  func(f url.Values) { f.Set("session", foreign.Get("session")) },
		"a changed session":  func(f url.Values) { f.Set("session", "A"+f.Get("session")) },
		"a large session":    func(f url.Values) { f.Set("session", strings.Repeat("A", 40_000)) },
		"no response":        func(f url.Values) { f.Del("response") },
		"a foreign response": func(f url.Values) { f.Set("response", foreign.Get("response")) },
	} {
		bad := url.Values{}
		for k := range form {
			bad.Set(k, form.Get(k))
		}
		change(bad)
		if a := v.Post(newPath, bad); a.StatusCode != http.StatusUnprocessableEntity {
			t.Errorf("%s: %d %s", what, a.StatusCode, a.Page)
		}
	}
	if n := v.keys(); len(n) != 0 {
		t.Errorf("passkeys %v", n)
	}
	v.done(newPath, form)
}

func TestNoCardWherePasskeysCannotWork(t *testing.T) {
	t.Parallel()
	v := newVisit(t, "http://192.0.2.1:8080")
	if body := v.see("address", security); strings.Contains(body, "passkey") {
		t.Error("passkeys are offered at a bare address")
	}
	if a := v.Get(newPath).Want(t, http.StatusUnprocessableEntity, "bare address"); strings.Contains(a.Page, "/assets/passkey-") {
		t.Error("and yet there is the script")
	}
}

func TestTexts(t *testing.T) {
	t.Parallel()
	pagetest.Translated(t, site)
	composed := func(key, _ string) bool { return strings.HasPrefix(key, "done.") || key == "bound" || key == "synced" }
	pagetest.EveryTextIsUsed(t, english, composed, newPage.Keys(), onePage.Keys(), donePage.Keys(), offerPage.Keys(), takenPage.Keys())
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

package browser

import (
	"context"
	"fmt"
	"html/template"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"

	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/identity/settings"
)

// passkeyPage is the form of api/page/assets/passkey.js and no more, in the frame of every page.
const passkeyPage = `{{define "title"}}Passkeys{{end}}{{define "main"}}<h1>Passkeys</h1>
<p id="said">{{.Said}}</p>
{{if not .Create}}<form><label for="u">Username</label><input id="u" name="username" autocomplete="username webauthn"></form>{{end}}
<form class="form" method="post" hidden data-passkey="{{if .Create}}create{{else}}get{{end}}" data-options="{{.Options}}" {{if .Autofill}}data-autofill{{end}}
 data-cancelled="It was cancelled." data-exists="You have it." data-unfit="It cannot do that." data-failed="It failed.">
<input type="hidden" name="response"><button class="button" id="go">Go on</button><p role="alert" data-fault hidden></p></form>
<p id="without" data-without-passkey>No passkeys here.</p>
<p hidden {{with .Accepted}}data-passkey-accepted="{{.}}"{{end}} {{with .Unknown}}data-passkey-unknown="{{.}}"{{end}}></p>
<script src="{{asset "passkey.js"}}" defer></script>{{end}}`

type passkeyView struct {
	Said, Options, Accepted, Unknown string
	Create, Autofill                 bool
}

// A passkeyHouse is one small server with the room and the script, and no more.
type passkeyHouse struct {
	t        *testing.T
	db       *fsm.DB
	tenant   identity.Tenant
	origin   string
	template *page.Template[passkeyView]

	mu       sync.Mutex
	policy   settings.Passkey
	resident bool
	session  []byte
	last     passkey.Assertion
}

func newPasskeyHouse(t *testing.T) *passkeyHouse {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	mux, h := passkeyRooms(t, "http://localhost:"+port)
	s := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return h
}

// passkeyRooms are those of a house at an origin, where a server is still to be put.
func passkeyRooms(t *testing.T, origin string) (*http.ServeMux, *passkeyHouse) {
	t.Helper()
	h := &passkeyHouse{t: t, db: fsmtest.New(t, slices.Concat(passkey.Tables, settings.Tables, device.Tables, session.Tables, directory.Tables, event.Tables)...), origin: origin, resident: true}
	h.tenant = identity.Tenant{ID: identity.DefaultTenant, Issuer: origin}
	h.template = page.Page[passkeyView](page.NewSite(fstest.MapFS{"passkey.html": {Data: []byte(passkeyPage)}}, page.Texts{}), "passkey.html")
	mux := http.NewServeMux()
	mux.Handle("/assets/", page.Assets())
	mux.HandleFunc("/{kind}", h.serve)
	return mux, h
}

var passkeyUser = &directory.User{ID: "usr_alice", Username: "alice", Name: "Alice Adams"}

// serve answers /create, /get (whoever it is), /autofill and /known (alice).
func (h *passkeyHouse) serve(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	kind, view := r.PathValue("kind"), passkeyView{}
	view.Create, view.Autofill = kind == "create", kind == "autofill" && r.Method == http.MethodGet
	user := map[string]string{"known": passkeyUser.ID}[kind]
	var err error
	if r.Method == http.MethodPost {
		response := []byte(r.PostFormValue("response"))
		if view.Create {
			err = h.db.Update(r.Context(), func(tx *fsm.Tx) error {
				k, err := passkey.Register(tx, h.tenant, h.policy, passkeyUser.ID, h.session, response, "")
				if err == nil {
					view.Said = fmt.Sprintf("registered synced=%v verified=%v format=%s transports=%v", k.Synced, k.UVInitialized, k.Format, k.Transports)
				}
				return err
			})
		} else if h.last, err = passkey.Finish(r.Context(), h.db, h.tenant.ID, h.session, response, user); err == nil {
			err = h.db.Update(r.Context(), func(tx *fsm.Tx) error { return passkey.Accept(tx, h.last) })
			view.Said = fmt.Sprintf("signed in %s verified=%v synced=%v", h.last.UserID, h.last.UV, h.last.Synced)
		}
		if err != nil {
			view.Said = "refused: " + err.Error()
			if signal, ok := passkey.Unknown(err); ok {
				view.Unknown = string(signal)
			}
		}
	}
	err = h.db.View(r.Context(), func(tx *fsm.Tx) error {
		var options []byte
		if view.Create {
			options, h.session, err = passkey.BeginRegistration(tx, h.tenant, "A house", h.policy, passkeyUser, h.resident)
		} else {
			options, h.session, err = passkey.Begin(tx, h.tenant, h.policy, user, passkey.Wanted{})
		}
		view.Options = string(options)
		if err == nil && r.URL.Query().Has("signal") {
			var accepted []byte
			accepted, _, err = passkey.Signals(tx, h.tenant, passkeyUser)
			view.Accepted = string(accepted)
		}
		return err
	})
	if err != nil {
		view.Said += " no options: " + template.HTMLEscapeString(err.Error())
	}
	if err := h.template.Write(w, r.WithContext(identity.WithTenant(r.Context(), h.tenant)), http.StatusOK, view); err != nil {
		h.t.Error(err)
	}
}

func (h *passkeyHouse) set(change func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	change()
}

func newAuthenticator(b *browser, o webauthn.VirtualAuthenticatorOptions) webauthn.AuthenticatorID {
	b.t.Helper()
	o.AutomaticPresenceSimulation = true
	got, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &o})
	if err != nil {
		b.t.Fatal(err)
	}
	return got.AuthenticatorID
}

func passkeyBrowser(t *testing.T) *browser {
	b := newBrowser(t)
	if _, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	return b
}

// visit opens a page and presses its button, if told to; it returns what is said at last.
func (b *browser) visit(at string, press bool) {
	b.t.Helper()
	b.do(chromedp.Navigate(at), chromedp.WaitVisible(chromedp.CSS("#go")))
	if press {
		b.do(chromedp.Click(chromedp.CSS("#go")))
	}
}

// says waits until an element says something with these words in it.
func (b *browser) says(selector string, words ...string) {
	b.t.Helper()
	for said := ""; ; b.wait() {
		if now, err := b.content(selector); err == nil {
			said = now
		}
		if !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(said, w) }) {
			return
		}
		if b.ctx.Err() != nil || strings.Contains(said, "refused") && !strings.HasPrefix(words[0], "refused") {
			b.t.Fatalf("%s says %q, want %q", selector, said, words)
		}
	}
}

// content is the text of an element, whether or not it can be seen. A page that is being replaced
// may never answer; the next one does.
func (b *browser) content(selector string) (string, error) {
	ctx, cancel := context.WithTimeout(b.ctx, 3*time.Second)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[string](fmt.Sprintf("(document.querySelector(%q) || {}).textContent || ''", selector)))
}

// finds opens a page again and again until it says these words: the node that answers may hear
// a moment later of what was done through another.
func (b *browser) finds(at, selector string, words ...string) {
	b.t.Helper()
	for ; ; b.wait() {
		b.open(at)
		said, err := b.content(selector)
		if err == nil && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(said, w) }) {
			return
		}
		if b.ctx.Err() != nil {
			b.t.Fatalf("%s of %s says %q, want %q", selector, at, said, words)
		}
	}
}

func (b *browser) keys(id webauthn.AuthenticatorID) int {
	b.t.Helper()
	got, err := chromedp.Call(b.ctx, webauthn.GetCredentials, webauthn.GetCredentialsParams{AuthenticatorID: id})
	if err != nil {
		b.t.Fatal(err)
	}
	return len(got.Credentials)
}

func TestPasskeysInABrowser(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o webauthn.VirtualAuthenticatorOptions
	}{
		"device-bound": {webauthn.VirtualAuthenticatorOptions{Protocol: "ctap2", Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true}},
		"synced": {webauthn.VirtualAuthenticatorOptions{Protocol: "ctap2", Ctap2version: "ctap2_1", Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true,
			DefaultBackupEligibility: true, DefaultBackupState: true}},
	} {
		t.Run(name, func(t *testing.T) {
			h, b := newPasskeyHouse(t), passkeyBrowser(t)
			id := newAuthenticator(b, c.o)
			synced := fmt.Sprintf("synced=%v", c.o.DefaultBackupEligibility)
			b.visit(h.origin+"/create", true)
			b.says("#said", "registered", synced, "verified=true")
			b.visit(h.origin+"/create", true)
			b.says("[data-fault]", "You have it.")
			for _, at := range []string{"/get", "/known", "/autofill"} {
				b.visit(h.origin+at, at != "/autofill") // the list picks the only one by itself under automation
				b.says("#said", "signed in usr_alice", synced, "verified=true")
			}
			if b.keys(id) != 1 {
				t.Fatalf("%d passkeys", b.keys(id))
			}
			h.forget()
			b.visit(h.origin+"/get", true)
			b.says("#said", "refused", "not known here")
			for b.keys(id) != 0 { // the signal made the browser forget it
				b.wait()
			}
			b.expectNoProblems()
		})
	}
}

// forget removes all passkeys behind the browser's back.
func (h *passkeyHouse) forget() {
	h.t.Helper()
	if err := h.db.Update(h.t.Context(), func(tx *fsm.Tx) error { return passkey.DeleteAllOf(tx, h.tenant.ID, passkeyUser.ID) }); err != nil {
		h.t.Fatal(err)
	}
}

// Keys without storage, or that cannot verify their user, are second factors.
func TestSecurityKeysInABrowser(t *testing.T) {
	t.Parallel()
	for format, o := range map[string]webauthn.VirtualAuthenticatorOptions{
		"fido-u2f": {Protocol: "u2f", Transport: "usb"},
		"packed":   {Protocol: "ctap2", Transport: "usb"},
	} {
		t.Run(format, func(t *testing.T) {
			h, b := newPasskeyHouse(t), passkeyBrowser(t)
			newAuthenticator(b, o)
			h.set(func() { h.policy.Attestation, h.resident = "direct", false })
			b.visit(h.origin+"/create", true)
			b.says("#said", "registered", "synced=false", "verified=false", "format="+format)
			b.visit(h.origin+"/known", true)
			b.says("#said", "signed in usr_alice", "verified=false")
			b.expectNoProblems()
		})
	}
}

func TestPasskeyFaultsAreSaid(t *testing.T) {
	t.Parallel()
	h, b := newPasskeyHouse(t), passkeyBrowser(t)
	id := newAuthenticator(b, webauthn.VirtualAuthenticatorOptions{Protocol: "ctap2", Transport: "internal", HasResidentKey: true, HasUserVerification: true, IsUserVerified: true})
	b.visit(h.origin+"/get", true) // there is none
	b.says("[data-fault]", "It was cancelled.")
	b.visit(h.origin+"/create", true)
	b.says("#said", "registered")
	no := true
	if _, err := chromedp.Call(b.ctx, webauthn.SetResponseOverrideBits, webauthn.SetResponseOverrideBitsParams{AuthenticatorID: id, IsBogusSignature: &no}); err != nil {
		t.Fatal(err)
	}
	b.visit(h.origin+"/get", true)
	b.says("#said", "refused", "could not be checked")
	b.visit(h.origin+"/get", false)
	if b.present("#without:not([hidden])") {
		t.Error("a browser with passkeys is told that it has none")
	}
	// Without the interface: nothing happens, nothing is offered.
	bare := newBrowser(t)
	if _, err := chromedp.Call(bare.ctx, cdp.Command[map[string]string, cdp.Empty]{Method: "Page.addScriptToEvaluateOnNewDocument"}, map[string]string{"source": "delete window.PublicKeyCredential"}); err != nil {
		t.Fatal(err)
	}
	bare.do(chromedp.Navigate(h.origin+"/get"), chromedp.WaitVisible(chromedp.CSS("#without")))
	if bare.present("form[data-passkey]:not([hidden])") {
		t.Error("a browser without passkeys is offered one")
	}
	bare.expectNoProblems()
	b.expectNoProblems()
}

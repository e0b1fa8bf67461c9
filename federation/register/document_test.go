package register_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// describes lets the web server answer with a document.
func (h *house) describes(body string) *atomic.Int32 {
	asked := new(atomic.Int32)
	h.serve = func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
	return asked
}

func TestDocument(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.policy(register.Policy{Documents: true})
	id := h.web.URL + "/client.json"
	asked := h.describes(`{"client_id":"` + id + `","client_name":"Tool","redirect_uris":["` + h.web.URL + `/cb","http://127.0.0.1/cb","http://localhost:3000/cb"],
		"grant_types":["authorization_code","refresh_token"],"token_endpoint_auth_method":"none","scope":"openid admin","logo_uri":"https://evil.example/logo","client_uri":"` + h.web.URL + `/"}`)
	if n := h.entries(func() {
		for range 5 {
			for _, d := range h.docs {
				a, kept, err := d.Get(t.Context(), ten, id)
				if err != nil || kept {
					t.Fatal(kept, err)
				}
				if !a.IsPublic || a.Consent != federation.ConsentExplicit || a.Name != "Tool (127.0.0.1)" || a.IconURL != "" || a.ClientURI == "" || strings.Contains(fmt.Sprint(a.AllowedScopes), "admin") {
					t.Errorf("%+v", a)
				}
				if a.ID != federation.DocumentID(ten, id) || !a.MatchRedirectURI("http://127.0.0.1:55555/cb") || a.MatchRedirectURI("https://evil.example/cb") {
					t.Errorf("%+v", a)
				}
			}
		}
	}); n != 0 {
		t.Errorf("strangers cost %d entries", n)
	}
	if n := asked.Load(); n != 3 {
		t.Errorf("%d requests of three nodes", n)
	}
	a, _, err := h.docs[0].Get(t.Context(), ten, id)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint64{1, 0} {
		if n := h.entries(func() {
			if err := h.docs[0].Keep(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}); n != want {
			t.Errorf("kept for the %d. time: %d entries", i+1, n)
		}
	}
	// What an administrator decides holds, whatever the document says.
	h.update(func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, ten, a.ID, 0, func(a *federation.Application) error { a.Disabled = true; return nil })
		return err
	})
	if b, kept, err := h.docs[1].Get(t.Context(), ten, id); err != nil || !kept || !b.Disabled {
		t.Errorf("%v %v", kept, err)
	}
}

func TestDocumentsAreOffByDefault(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	asked := h.describes(`{}`)
	for _, p := range []register.Policy{{Mode: register.Open}, {Documents: true, DocumentHosts: []string{"trusted.example"}}} {
		h.policy(p)
		if _, _, err := h.docs[0].Get(t.Context(), ten, h.web.URL+"/c"); !errors.Is(err, fsm.ErrNotFound) {
			t.Error(err)
		}
	}
	if asked.Load() != 0 {
		t.Error("it was asked for")
	}
}

func TestRefusesDocuments(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Documents: true})
	own := h.web.URL
	for i, body := range []string{
		`{}`, `[]`, `{`, `null`, ``,
		`{"client_id":"` + own + `/other","redirect_uris":["` + own + `/cb"]}`,
		`{"client_id":"ID"}`,
		`{"client_id":"ID","redirect_uris":[]}`,
		`{"client_id":"ID","redirect_uris":["https://evil.example/cb"]}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb","https://evil.example/cb"]}`,
		`{"client_id":"ID","redirect_uris":["` + own + `.evil.example/cb"]}`,
		`{"client_id":"ID","redirect_uris":["` + strings.Replace(own, "https://", "https://evil@", 1) + `/cb"]}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb#f"]}`,
		`{"client_id":"ID","redirect_uris":["javascript:alert(1)"]}`,
		`{"client_id":"ID","redirect_uris":["com.example.app:/cb"]}`,
		`{"client_id":"ID","redirect_uris":["regex:.*"]}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb"],"client_secret":"x"}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb"],"client_secret_expires_at":0}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb"],"token_endpoint_auth_method":"client_secret_basic"}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb"],"client_id":"ID"}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb"],"Client_id":"x"}`,
		`{"client_id":"ID","redirect_uris":["` + own + `/cb"],"x":"` + strings.Repeat("x", 9000) + `"}`,
	} {
		id := fmt.Sprintf("%s/client-%d", own, i)
		h.describes(strings.ReplaceAll(body, "ID", id))
		if a, _, err := h.docs[0].Get(t.Context(), ten, id); !errors.Is(err, identity.ErrInvalid) {
			t.Errorf("%s: %+v %v", body, a, err)
		}
	}
}

func TestRefusesClientIDsThatAreNoDocument(t *testing.T) {
	t.Parallel()
	for _, id := range []string{
		"", "x", "http://app.example.com/c", "https://app.example.com", "https://app.example.com/", "https://app.example.com/c#f", "https://app.example.com/c?x=1", "https://app.example.com/c?",
		"https://u@app.example.com/c", "https://u:p@app.example.com/c", "https://APP.example.com/c", "https://app.example.com/a/../c", "https://app.example.com/./c", "https://app.example.com/%2e%2e/c",
		"HTTPS://app.example.com/c", "https://2130706433/c", "https://app.example.com\\c", "https://app.example.com/ c", "javascript:alert(1)", "https://" + strings.Repeat("a", 3000) + "/c",
	} {
		if register.IsDocument(id) {
			t.Errorf("%q passes", id)
		}
	}
	if !register.IsDocument("https://app.example.com/oauth/client.json") {
		t.Error("a good one is refused")
	}
}

// TestRefusesSSRFByDocument: a client_id cannot make us send a request inside.
func TestRefusesSSRFByDocument(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Documents: true})
	asked := h.describes(`{}`)
	for _, id := range []string{"https://10.0.0.1/c", "https://169.254.169.254/c", "https://[::1]/c", "https://[fd00::1]/c", "https://[::ffff:10.0.0.1]/c", "https://localhost:1/c"} {
		if _, _, err := h.docs[0].Get(t.Context(), ten, id); err == nil {
			t.Errorf("%s is fetched", id)
		}
	}
	h.serve = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/", http.StatusFound)
	}
	if _, _, err := h.docs[0].Get(t.Context(), ten, h.web.URL+"/c"); !errors.Is(err, identity.ErrInvalid) {
		t.Error(err)
	}
	if asked.Load() != 0 {
		t.Error("something was asked")
	}
}

func TestRefusesMoreDocumentsThanTheLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Documents: true, Max: 1})
	for i := range 2 {
		id := fmt.Sprintf("%s/c%d", h.web.URL, i)
		h.describes(`{"client_id":"` + id + `","redirect_uris":["` + h.web.URL + `/cb"]}`)
		a, _, err := h.docs[0].Get(t.Context(), ten, id)
		if err != nil {
			t.Fatal(err)
		}
		if err := h.docs[0].Keep(t.Context(), a); (err == nil) != (i == 0) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

// What nobody has allowed anything makes room, unless an administrator has decided that
// nobody need be asked.
func TestUnusedDocumentsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Documents: true, Unused: 1})
	var made []*federation.Application
	for i := range 2 {
		id := fmt.Sprintf("%s/c%d", h.web.URL, i)
		h.describes(`{"client_id":"` + id + `","redirect_uris":["` + h.web.URL + `/cb"]}`)
		a, _, err := h.docs[0].Get(t.Context(), ten, id)
		if err == nil {
			err = h.docs[0].Keep(t.Context(), a)
		}
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, a)
	}
	h.update(func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, ten, made[1].ID, 0, func(a *federation.Application) error { a.Consent = federation.ConsentImplicit; return nil })
		return err
	})
	h.Advance(48 * time.Hour)
	waitPast(t, h, 0)
	if err := register.Sweep(t.Context(), h.DB[0]); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{fsm.ErrNotFound, nil} {
		err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
			_, _, err := federation.Get(tx, ten, made[i].ID)
			return err
		})
		if !errors.Is(err, want) {
			t.Errorf("%d: %v", i, err)
		}
	}
}

package register_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/fsm"
)

const good = `{"redirect_uris":["https://app.example.com/cb"],"client_name":"App","grant_types":["authorization_code","refresh_token"],"scope":"openid email","unknown":{"a":[1]},"client_name#de":"Anwendung"}`

func TestRegister(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open})
	var out map[string]any
	if n := h.entries(func() {
		var status int
		if status, out = h.send(0, "POST", register.Path, "", good); status != 201 {
			t.Fatalf("%d %v", status, out)
		}
	}); n != 1 {
		t.Errorf("%d entries", n)
	}
	for _, m := range []string{"client_id", "client_secret", "client_id_issued_at", "registration_access_token", "registration_client_uri", "redirect_uris", "response_types", "token_endpoint_auth_method", "id_token_signed_response_alg"} {
		if out[m] == nil {
			t.Errorf("%s is missing: %v", m, out)
		}
	}
	if out["client_secret_expires_at"] != float64(0) || out["scope"] != "openid email" || out["token_endpoint_auth_method"] != "client_secret_basic" {
		t.Errorf("%v", out)
	}
	a := h.app(out["client_id"].(string))
	if a.Consent != federation.ConsentExplicit || a.Registration.Kind != federation.RegisteredByClient || a.Registration.Expires.IsZero() {
		t.Errorf("%+v", a)
	}
	if strings.Contains(fmt.Sprintf("%+v", a), out["registration_access_token"].(string)) {
		t.Error("the registration access token is stored")
	}
}

func (h *house) app(clientID string) (a *federation.Application) {
	h.t.Helper()
	if err := h.DB[0].View(h.t.Context(), func(tx *fsm.Tx) (err error) {
		a, err = federation.ByClientID(tx, ten, clientID)
		return err
	}); err != nil {
		h.t.Fatal(err)
	}
	return a
}

func TestNobodyRegistersByDefault(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.refuses("no policy", 403, "access_denied", "", good)
	h.policy(register.Policy{Mode: register.Closed})
	h.refuses("closed", 403, "access_denied", h.token(1, time.Hour), good)
}

func TestRefusesMalformedMetadata(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open})
	for body, code := range map[string]string{
		``: "invalid_request", `[]`: "invalid_client_metadata", `{`: "invalid_client_metadata", `{} {}`: "invalid_client_metadata", `"x"`: "invalid_client_metadata", `null`: "invalid_client_metadata",
		`{"redirect_uris":"https://a.example/cb"}`:                                            "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"redirect_uris":["https://b.example/cb"]}`: "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"Redirect_URIs":["https://b.example/cb"]}`: "invalid_client_metadata",
		`{}`: "invalid_redirect_uri",
		`{"redirect_uris":["javascript:alert(1)"]}`:                                                             "invalid_redirect_uri",
		`{"redirect_uris":["data:text/html,x"]}`:                                                                "invalid_redirect_uri",
		`{"redirect_uris":["https://a.example/cb#f"]}`:                                                          "invalid_redirect_uri",
		`{"redirect_uris":["http://a.example/cb"]}`:                                                             "invalid_redirect_uri",
		`{"redirect_uris":["https://*.example/cb"]}`:                                                            "invalid_redirect_uri",
		`{"redirect_uris":["https://u@a.example/cb"]}`:                                                          "invalid_redirect_uri",
		`{"redirect_uris":["regex:https://a\\.example/.*"]}`:                                                    "invalid_redirect_uri",
		`{"redirect_uris":["https://a.example/cb"],"response_types":["token"]}`:                                 "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"response_types":["code id_token"]}`:                         "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"grant_types":["implicit"]}`:                                 "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"grant_types":["password"]}`:                                 "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"x"}`:                           "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"token_endpoint_auth_method":"private_key_jwt"}`:             "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"id_token_signed_response_alg":"none"}`:                      "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"request_object_signing_alg":"none"}`:                        "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"jwks":{"keys":[{"kty":"oct","k":"AA"}]}}`:                   "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"application_type":"x"}`:                                     "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"software_statement":"x.y.z"}`:                               "unapproved_software_statement",
		`{"redirect_uris":["https://a.example/cb"],"client_id":"admin"}`:                                        "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"client_secret":"0123456789012345678901234567890123456789"}`: "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"registration_access_token":"x"}`:                            "invalid_client_metadata",
		`{"redirect_uris":["https://a.example/cb"],"client_name":"` + strings.Repeat("x", 70_000) + `"}`:        "invalid_client_metadata",
	} {
		h.refuses(body[:min(len(body), 80)], 400, code, "", body)
	}
}

func TestRefusesEscalationAtRegistration(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open, Scopes: []string{"openid"}, Hosts: []string{"app.example.com", ".apps.example.com", "localhost"}})
	for body, code := range map[string]string{
		`{"redirect_uris":["https://app.example.com/cb"],"scope":"openid admin"}`:                                                             "invalid_client_metadata",
		`{"redirect_uris":["https://app.example.com/cb"],"scope":"openid","grant_types":["authorization_code","client_credentials"]}`:         "invalid_client_metadata",
		`{"redirect_uris":["https://app.example.com/cb"],"scope":"openid","grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"]}`: "invalid_client_metadata",
		`{"redirect_uris":["https://evil.example/cb"],"scope":"openid"}`:                                                                      "invalid_redirect_uri",
		`{"redirect_uris":["https://apps.example.com/cb"],"scope":"openid"}`:                                                                  "invalid_redirect_uri",
		`{"redirect_uris":["https://evilapp.example.com/cb"],"scope":"openid"}`:                                                               "invalid_redirect_uri",
		`{"redirect_uris":["https://app.example.com/cb"],"scope":"openid","post_logout_redirect_uris":["https://evil.example/"]}`:             "invalid_redirect_uri",
	} {
		h.refuses(body, 400, code, "", body)
	}
	status, out := h.send(0, "POST", register.Path, "", `{"redirect_uris":["https://a.apps.example.com/cb","http://127.0.0.1/cb"],"token_endpoint_auth_method":"none"}`)
	if status != 201 || out["scope"] != "openid" || out["client_secret"] != nil {
		t.Fatalf("%d %v", status, out)
	}
	// Later, by its own token: the same limits, and nothing that administrators decide.
	at, token, id := register.Path+"/"+out["client_id"].(string), out["registration_access_token"].(string), out["client_id"].(string)
	for _, body := range []string{
		`{"client_id":"` + id + `","redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"none","scope":"openid admin"}`,
		`{"client_id":"` + id + `","redirect_uris":["https://evil.example/cb"],"token_endpoint_auth_method":"none"}`,
		`{"client_id":"` + id + `","redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"client_secret_basic"}`,
		`{"client_id":"other","redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"none"}`,
		`{"redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"none"}`,
	} {
		if status, out := h.send(0, "PUT", at, token, body); status != 400 {
			t.Errorf("%s: %d %v", body, status, out)
		}
	}
	if status, out := h.send(0, "PUT", at, token, `{"client_id":"`+id+`","redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"none","consent_mode":"implicit","access_restricted":false,"client_name":"New"}`); status != 200 || out["client_name"] != "New" {
		t.Errorf("%d %v", status, out)
	}
	if a := h.app(id); a.Consent != federation.ConsentExplicit || a.Registration.Kind == "" {
		t.Errorf("%+v", a)
	}
}

func TestRefusesInitialTokens(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Token})
	once, gone := h.token(1, time.Hour), h.token(5, time.Millisecond)
	h.refuses("none", 401, "invalid_token", "", good)
	h.refuses("guessed", 401, "invalid_token", "quis_iat_x.y", good)
	h.refuses("altered", 401, "invalid_token", once[:len(once)-1]+"!", good)
	h.refuses("long", 401, "invalid_token", strings.Repeat("x", 600), good)
	if status, out := h.send(0, "POST", register.Path, once, good); status != 201 {
		t.Fatalf("%d %v", status, out)
	}
	h.refuses("reused", 401, "invalid_token", once, good)
	h.update(func(tx *fsm.Tx) error {
		return register.SetPolicy(tx, register.Policy{Tenant: ten, Mode: register.Token, Max: 50})
	})
	waitPast(t, h, 2*time.Millisecond)
	h.refuses("expired", 401, "invalid_token", gone, good)
	var id string
	stolen := h.token(3, time.Hour)
	h.update(func(tx *fsm.Tx) error {
		all, err := register.ListTokens(tx, ten)
		if err != nil {
			return err
		}
		id = all[len(all)-1].ID
		return register.DeleteToken(tx, ten, id)
	})
	h.refuses("deleted", 401, "invalid_token", stolen, good)
}

// waitPast writes until the state's clock has gone on.
func waitPast(t *testing.T, h *house, d time.Duration) {
	t.Helper()
	var start time.Time
	h.update(func(tx *fsm.Tx) error { start = tx.Now(); return nil })
	for i := int64(1); ; i++ {
		var now time.Time
		h.update(func(tx *fsm.Tx) error {
			now = tx.Now()
			return register.SetPolicy(tx, register.Policy{Tenant: ten, Mode: register.Token, Max: 51 + i%2})
		})
		if now.Sub(start) > d {
			return
		}
	}
}

// TestRefusesInitialTokenRacedOnTwoNodes: whoever is second finds it spent, wherever.
func TestRefusesInitialTokenRacedOnTwoNodes(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3)
	h.policy(register.Policy{Mode: register.Token})
	token := h.token(2, time.Hour)
	var made, refused atomic.Int32
	var wg sync.WaitGroup
	for i := range 12 {
		wg.Go(func() {
			switch status, out := h.send(i%3, "POST", register.Path, token, good); {
			case status == 201:
				made.Add(1)
			case status == 401:
				refused.Add(1)
			default:
				t.Errorf("%d %v", status, out)
			}
		})
	}
	wg.Wait()
	if made.Load() != 2 || refused.Load() != 10 {
		t.Errorf("%d made, %d refused", made.Load(), refused.Load())
	}
}

func TestRefusesRegistrationTokenOfAnotherClient(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 2)
	h.policy(register.Policy{Mode: register.Open})
	_, one := h.send(0, "POST", register.Path, "", good)
	_, two := h.send(0, "POST", register.Path, "", good)
	at := register.Path + "/" + two["client_id"].(string)
	for what, token := range map[string]string{
		"another's": one["registration_access_token"].(string), "none": "", "the secret": two["client_secret"].(string), "an initial one": h.token(1, time.Hour),
	} {
		for _, method := range []string{"GET", "PUT", "DELETE"} {
			body := ""
			if method == "PUT" {
				body = `{"client_id":"` + two["client_id"].(string) + `","redirect_uris":["https://evil.example/cb"]}`
			}
			if status, out := h.send(1, method, at, token, body); status != 401 || out["error"] != "invalid_token" {
				t.Errorf("%s with %s: %d %v", method, what, status, out)
			}
		}
	}
	own := two["registration_access_token"].(string)
	if status, out := h.send(1, "GET", at, own, ""); status != 200 || out["client_secret"] != nil || out["registration_access_token"] != own {
		t.Errorf("%d %v", status, out)
	}
	if status, _ := h.send(1, "DELETE", at, own, ""); status != 204 {
		t.Errorf("%d", status)
	}
	if status, _ := h.send(0, "GET", at, own, ""); status != 401 {
		t.Errorf("after its end: %d", status)
	}
}

func TestApplicationsOfAdministratorsAreNotManaged(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open})
	h.update(func(tx *fsm.Tx) error {
		_, err := federation.Create(tx, h.rings[0], &federation.Application{Tenant: ten, ClientID: "own", Name: "x", RedirectURIs: []string{"https://a.example/"}}, "")
		return err
	})
	_, out := h.send(0, "POST", register.Path, "", good)
	for _, token := range []string{out["registration_access_token"].(string), "quis_rat_", ""} {
		if status, _ := h.send(0, "GET", register.Path+"/own", token, ""); status != 401 {
			t.Errorf("%d", status)
		}
	}
}

func TestRefusesMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open, Max: 2})
	for range 2 {
		if status, out := h.send(0, "POST", register.Path, "", good); status != 201 {
			t.Fatalf("%d %v", status, out)
		}
	}
	h.refuses("one more", 403, "access_denied", "", good)
}

// TestRefusesSSRFAtRegistration: no URL of the metadata may lead inside, in whatever form.
func TestRefusesSSRFAtRegistration(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open})
	h.serve = func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	}
	inside := []string{
		"https://10.0.0.1/x", "https://169.254.169.254/x", "https://2130706433/x", "https://0177.0.0.1/x", "https://0x7f.1/x", "https://[::1]/x",
		"https://[fd00::1]/x", "https://[64:ff9b::a00:1]/x", "http://localhost/x", "http://app.example.com/x", "file:///etc/passwd",
	}
	for _, u := range inside {
		for _, member := range []string{
			`"jwks_uri":"%"`, `"request_uris":["%"]`, `"sector_identifier_uri":"%"`, `"backchannel_logout_uri":"%"`, `"backchannel_client_notification_endpoint":"%"`,
		} {
			h.refuses(member+u, 400, "invalid_client_metadata", "", `{"redirect_uris":["https://app.example.com/cb"],`+strings.ReplaceAll(member, "%", u)+`}`)
		}
	}
	h.refuses("redirect to loopback", 400, "invalid_client_metadata", "", `{"redirect_uris":["https://app.example.com/cb"],"sector_identifier_uri":"`+h.web.URL+`/s"}`)
}

func TestSectorMustListTheRedirectURIs(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open})
	listed := `["https://other.example/cb"]`
	h.serve = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(listed))
	}
	body := `{"redirect_uris":["https://app.example.com/cb"],"subject_type":"pairwise","sector_identifier_uri":"` + h.web.URL + `/s"}`
	h.refuses("not listed", 400, "invalid_client_metadata", "", body)
	listed = `["https://app.example.com/cb","https://other.example/cb"]`
	if status, out := h.send(0, "POST", register.Path, "", body); status != 201 {
		t.Errorf("%d %v", status, out)
	}
}

// TestRefusesTheSectorOfAnothersHost: who never has to show that a host is his gets no names of its sector.
func TestRefusesTheSectorOfAnothersHost(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open, Grants: []string{federation.GrantCode, federation.GrantDevice, federation.GrantCIBA}})
	victim := `{"redirect_uris":["https://victim.example/cb"],"subject_type":"pairwise"`
	for _, grant := range []string{federation.GrantDevice, federation.GrantCIBA} {
		h.refuses(grant, 400, "invalid_client_metadata", "", victim+`,"grant_types":["authorization_code","`+grant+`"]}`)
	}
	status, out := h.send(0, "POST", register.Path, "", victim+`}`)
	if status != 201 {
		t.Fatalf("%d %v", status, out)
	}
	id := out["client_id"].(string)
	later := `,"client_id":"` + id + `","grant_types":["authorization_code","` + federation.GrantDevice + `"]}`
	if status, out := h.send(0, "PUT", register.Path+"/"+id, out["registration_access_token"].(string), victim+later); status != 400 {
		t.Errorf("%d %v", status, out)
	}
}

func TestUnusedApplicationsEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open, Unused: 1})
	_, out := h.send(0, "POST", register.Path, "", good)
	sweep := func() {
		if err := register.Sweep(t.Context(), h.DB[0]); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.entries(sweep); n != 0 {
		t.Errorf("%d entries before its time", n)
	}
	h.Advance(48 * time.Hour)
	waitPast(t, h, 0)
	sweep()
	if status, _ := h.send(0, "GET", register.Path+"/"+out["client_id"].(string), out["registration_access_token"].(string), ""); status != 401 {
		t.Errorf("it is still there: %d", status)
	}
}

// What an administrator takes away, or demands, does not come back by a change.
func TestRefusesToTakeBackWhatAnAdministratorDecided(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 1)
	h.policy(register.Policy{Mode: register.Open, Scopes: []string{"openid", "email", "profile"}})
	const body = `"redirect_uris":["https://app.example.com/cb"],"token_endpoint_auth_method":"none"`
	_, out := h.send(0, "POST", register.Path, "", `{`+body+`,"scope":"openid email"}`)
	id, _ := out["client_id"].(string)
	access, _ := out["registration_access_token"].(string)
	h.update(func(tx *fsm.Tx) error {
		a, err := federation.ByClientID(tx, ten, id)
		if err != nil {
			return err
		}
		_, err = federation.Update(tx, ten, a.ID, 0, func(a *federation.Application) error {
			a.AllowedScopes, a.Requests.RequirePAR, a.Tokens.DPoPBound = []string{"openid"}, true, true
			return nil
		})
		return err
	})
	for what, more := range map[string]string{"scope": `,"scope":"openid email"`, "grants": `,"grant_types":["authorization_code","refresh_token"]`} {
		status, out := h.send(0, "PUT", register.Path+"/"+id, access, `{"client_id":"`+id+`",`+body+more+`}`)
		if status != 400 || out["error"] != "invalid_client_metadata" {
			t.Errorf("%s: %d %v", what, status, out)
		}
	}
	status, out := h.send(0, "PUT", register.Path+"/"+id, access, `{"client_id":"`+id+`",`+body+`,"client_name":"New"}`)
	if status != 200 || out["scope"] != "openid" || out["client_name"] != "New" {
		t.Fatalf("%d %v", status, out)
	}
	err := h.DB[0].View(t.Context(), func(tx *fsm.Tx) error {
		a, err := federation.ByClientID(tx, ten, id)
		if err == nil && (!a.Requests.RequirePAR || !a.Tokens.DPoPBound) {
			t.Errorf("%+v %+v", a.Requests, a.Tokens)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

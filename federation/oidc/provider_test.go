package oidc

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/keys/seal"
)

func TestDiscoveryIsTrue(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var doc map[string]any
	for _, name := range []string{"openid-configuration", "oauth-authorization-server"} {
		rec := w.get(0, "/.well-known/"+name, false)
		decode(t, rec.Body.String(), &doc)
		if rec.Code != 200 || doc["issuer"] != issuer || rec.Header().Get("Access-Control-Allow-Origin") != "*" ||
			!strings.Contains(rec.Header().Get("Cache-Control"), "max-age=") {
			t.Fatalf("%s: %d %v", name, rec.Code, rec.Header())
		}
	}
	for field, value := range doc {
		path, ok := strings.CutPrefix(fmt.Sprint(value), issuer+"/")
		if !ok {
			continue
		}
		// Each endpoint named is mounted: whatever it says to an empty request, it is not 404.
		post := w.nodes[0].do(httptest.NewRequest("POST", "/"+path, nil))
		if get := w.get(0, "/"+path, false); get.Code == http.StatusNotFound || post.Code == http.StatusNotFound {
			t.Errorf("%s: nothing at /%s", field, path)
		}
	}
	for _, field := range []string{"id_token_signing_alg_values_supported", "request_object_signing_alg_values_supported", "dpop_signing_alg_values_supported"} {
		if algs := fmt.Sprint(doc[field]); strings.Contains(algs, "HS256") || !strings.Contains(algs, "ES256") {
			t.Errorf("%s: %s", field, algs)
		}
	}
	for _, absent := range []string{"web_message", "plain", "implicit", "RSA1_5"} {
		if b, _ := json.Marshal(doc); strings.Contains(string(b), absent) {
			t.Errorf("%s is advertised", absent)
		}
	}
}

func TestTokensVerifyWithThePublishedKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0)
	rec := w.get(1, "/.well-known/jwks.json", false)
	if !strings.Contains(rec.Header().Get("Cache-Control"), "public, max-age=") {
		t.Errorf("Cache-Control %q", rec.Header().Get("Cache-Control"))
	}
	var set jose.JSONWebKeySet
	decode(t, rec.Body.String(), &set)
	for typ, token := range map[string]string{"JWT": got.ID, "at+jwt": got.Access} {
		parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		var c jwt.Claims
		if err := parsed.Claims(set, &c); err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if err := c.ValidateWithLeeway(jwt.Expected{Issuer: issuer, Subject: w.user.ID, Time: time.Now()}, 0); err != nil {
			t.Fatalf("%s: %v", typ, err)
		}
		if parsed.Headers[0].ExtraHeaders["typ"] != typ {
			t.Errorf("typ %v, want %s", parsed.Headers[0].ExtraHeaders["typ"], typ)
		}
	}
}

func TestUserinfoWantsOneBearerToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	rec := w.get(0, "/oauth2/userinfo", true)
	if c := rec.Header().Get("WWW-Authenticate"); rec.Code != 401 || strings.Contains(c, "error=") || !strings.HasPrefix(c, "Bearer") {
		t.Errorf("no token: %d %q", rec.Code, c)
	}
	if rec := w.get(0, "/oauth2/userinfo?access_token="+got.Access, true); rec.Code != 401 {
		t.Errorf("token in the URL: %d", rec.Code)
	}
	if rec := w.nodes[0].do(formRequest(t.Context(), "/oauth2/userinfo", url.Values{"access_token": {got.Access}})); rec.Code != 200 {
		t.Errorf("token in the form: %d", rec.Code)
	}
	r := formRequest(t.Context(), "/oauth2/userinfo", url.Values{"access_token": {got.Access}})
	r.Header.Set("Authorization", "Bearer "+got.Access)
	if rec := w.nodes[0].do(r); rec.Code != 400 {
		t.Errorf("token twice: %d", rec.Code)
	}
	for _, form := range []url.Values{{"grant_type": {"client_credentials"}, "scope": {"openid api"}}} {
		own := w.want(w.post(0, "/oauth2/token", form), 200)
		if own.Scope != "api" {
			t.Errorf("scope %q without a user", own.Scope)
		}
		rec = w.userinfo(0, own.Access)
		if rec.Code != 403 || !strings.Contains(rec.Header().Get("WWW-Authenticate"), "insufficient_scope") {
			t.Errorf("token of an application: %d %q", rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
	}
	for _, bad := range []string{"garbage", got.Access + "x", got.Refresh, strings.Repeat("a.", 9000), "..", got.ID} {
		if rec := w.userinfo(0, bad); rec.Code != 401 || !strings.Contains(rec.Header().Get("WWW-Authenticate"), `error="invalid_token"`) {
			t.Errorf("%.20s: %d %q", bad, rec.Code, rec.Header().Get("WWW-Authenticate"))
		}
	}
}

func TestClaimsFollowScopes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.update(0, func(tx *fsm.Tx) error {
		g, err := directory.CreateGroup(tx, tenant.ID, directory.Group{Name: "eng"})
		if err != nil {
			return err
		}
		return directory.AddMember(tx, tenant.ID, g.ID, w.user.ID)
	})
	for scope, want := range map[string][]string{
		"openid": {}, "openid email": {"email", "email_verified"}, "openid groups": {"groups"},
		"openid profile": {"name", "preferred_username", "updated_at"},
	} {
		got := w.tokens(0, set("scope", scope))
		var info map[string]any
		decode(t, w.userinfo(0, got.Access).Body.String(), &info)
		if len(info) != len(want)+1 {
			t.Errorf("%s: %v", scope, info)
		}
		id := claims(t, got.ID)
		for _, name := range want {
			if info[name] == nil || fmt.Sprint(info[name]) != fmt.Sprint(id[name]) {
				t.Errorf("%s: %s is %v in userinfo and %v in the ID token", scope, name, info[name], id[name])
			}
		}
	}
	if got := w.tokens(0, set("scope", "api")); got.ID != "" {
		t.Error("ID token without openid")
	}
}

func TestStaleStateSaysYesToNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0)
	w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
	w.nodes[1].stale.Store(true)
	w.wantError(w.userinfo(1, got.Access), 503, "temporarily_unavailable")
	w.wantError(w.post(1, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}}), 503, "temporarily_unavailable")
	w.wantError(w.post(1, "/oauth2/introspect", url.Values{"token": {got.Access}}), 503, "temporarily_unavailable")
	w.wantError(w.post(1, "/oauth2/token", refreshForm(got.Refresh)), 503, "temporarily_unavailable") // within grace: no entry decides
	w.wantError(w.post(1, "/oauth2/token", w.codeForm(w.code(0))), 503, "temporarily_unavailable")    // an entry decides, but not on the client's secret
}

func TestRevocationUnseenByALaggingNodeIsStillDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	got := w.tokens(0)
	w.cluster.Pause(2)
	if rec := w.post(0, "/oauth2/revoke", url.Values{"token": {got.Refresh}}); rec.Code != 200 {
		t.Fatal(rec.Code)
	}
	// Node 2 still believes in the family; the log does not.
	w.wantError(w.post(2, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
}

func TestTokenFromBeforeARestoreIsInvalid(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.nodes[0].provider.wait = time.Millisecond
	future := family.Family{ID: family.NewID(), Tenant: tenant.ID, ClientID: "web", Gen: 1, Key: w.nodes[0].ring.CurrentKey(), Salt: []byte("salt")}
	token, err := family.MintToken(w.nodes[0].ring, &future, 1<<40)
	if err != nil {
		t.Fatal(err)
	}
	w.wantError(w.post(0, "/oauth2/token", refreshForm(token)), 400, "invalid_grant")
	w.cluster.SetLeader(false)
	w.wantError(w.post(0, "/oauth2/token", refreshForm(token)), 503, "temporarily_unavailable")
}

func TestRefreshTokenIsBoundToTenantAndClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	token := w.tokens(0).Refresh
	ring := w.nodes[0].ring
	if _, err := family.ParseToken(ring, tenant.ID, "web", token); err != nil {
		t.Fatal(err)
	}
	for _, who := range [][2]string{{tenant.ID, "we"}, {tenant.ID, "webb"}, {"ten_other", "web"}, {tenant.ID, ""}} {
		if _, err := family.ParseToken(ring, who[0], who[1], token); !errors.Is(err, seal.ErrBox) {
			t.Errorf("passes for %v: %v", who, err)
		}
	}
}

func TestSaltOfTheFamilyIsNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	real, err := family.ParseToken(w.nodes[0].ring, tenant.ID, "web", got.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	forged := family.Family{ID: real.Family, Tenant: tenant.ID, ClientID: "web", Gen: real.Gen, Key: real.Key, Salt: []byte("guessed")}
	token, err := family.MintToken(w.nodes[0].ring, &forged, real.Index)
	if err != nil {
		t.Fatal(err)
	}
	if n := w.entries(func() { w.wantError(w.post(0, "/oauth2/token", refreshForm(token)), 400, "invalid_grant") }); n != 0 {
		t.Errorf("a forged token cost %d log entries", n)
	}
	w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
}

func TestDisabledAndDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0, set("scope", "openid offline_access"))
	change := func(user, app bool) {
		w.update(0, func(tx *fsm.Tx) error {
			if _, err := directory.UpdateUser(tx, tenant.ID, w.user.ID, 0, func(u *directory.User) error { u.Disabled = user; return nil }); err != nil {
				return err
			}
			_, err := federation.Update(tx, tenant.ID, w.app.ID, 0, func(a *federation.Application) error { a.Disabled = app; return nil })
			return err
		})
	}
	change(true, false)
	w.wantError(w.post(1, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	w.wantError(w.userinfo(1, got.Access), 401, "invalid_token")
	change(false, true)
	w.wantError(w.post(1, "/oauth2/token", refreshForm(got.Refresh)), 401, "invalid_client")
	w.wantError(w.userinfo(1, got.Access), 401, "invalid_token")
	if rec := w.authorize(); rec.Code != 400 {
		t.Errorf("authorize of a disabled application: %d", rec.Code)
	}
	change(false, false)
	w.want(w.post(1, "/oauth2/token", refreshForm(got.Refresh)), 200)
	w.update(0, func(tx *fsm.Tx) error { return federation.Delete(tx, tenant.ID, w.app.ID, 0) })
	w.wantError(w.userinfo(1, got.Access), 401, "invalid_token")
}

func TestRestrictedApplication(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.app = w.register(federation.Application{ClientID: "closed", Name: "Closed", RedirectURIs: []string{callback}, AccessRestricted: true}, secret)
	scope := set("scope", "openid")
	w.authorizeError(w.authorize(scope), "access_denied")
	rule := federation.AccessRule{Tenant: tenant.ID, Application: w.app.ID, Kind: federation.AccessUser, Target: w.user.ID}
	w.update(0, func(tx *fsm.Tx) error { return federation.GrantAccess(tx, rule) })
	got := w.tokens(0, scope)
	w.update(0, func(tx *fsm.Tx) error { return federation.RevokeAccess(tx, rule) })
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
}

func TestTenantsDoNotMix(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.tokens(0)
	code := w.code(0)
	other := identity.Tenant{Slug: "other", Issuer: issuer + "/t/other"}
	w.update(0, func(tx *fsm.Tx) error { // the same client_id and secret there
		made, err := directory.CreateTenant(tx, directory.Tenant{Slug: other.Slug, Name: "Other"})
		if err != nil {
			return err
		}
		other.ID = made.ID
		twin := *w.app
		twin.Tenant = other.ID
		_, err = federation.Create(tx, w.nodes[0].ring, &twin, secret)
		return err
	})
	do := func(r *http.Request) *httptest.ResponseRecorder {
		rec := httptest.NewRecorder()
		w.nodes[0].mux.ServeHTTP(rec, r.WithContext(identity.WithTenant(r.Context(), other)))
		return rec
	}
	for _, form := range []url.Values{w.codeForm(code), refreshForm(got.Refresh)} {
		r := formRequest(t.Context(), "/oauth2/token", form)
		r.SetBasicAuth("web", secret)
		w.wantError(do(r), 400, "invalid_grant")
	}
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/oauth2/userinfo", nil)
	r.Header.Set("Authorization", "Bearer "+got.Access)
	w.wantError(do(r), 401, "invalid_token")
	r = httptest.NewRequestWithContext(t.Context(), "GET", "/oauth2/authorize?"+w.request().Encode(), nil)
	r.AddCookie(&http.Cookie{Name: "quis_session_other", Value: w.cookie.Value})
	if u, _ := w.back(do(r)); u.Path != "/t/other/login" {
		t.Errorf("a session of one tenant led to %s in another", u)
	}
	w.want(w.post(0, "/oauth2/token", w.codeForm(code)), 200)
}

func TestIDTokenOnRefreshOnlyWhereAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.app = w.register(federation.Application{ClientID: "again", Name: "A", RedirectURIs: []string{callback}, IDTokenOnRefresh: true}, secret)
	got := w.tokens(0, set("scope", "openid"))
	next := w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
	old, id := claims(t, got.ID), claims(t, next.ID)
	if id["sub"] != old["sub"] || id["auth_time"] != old["auth_time"] || id["sid"] != old["sid"] || id["nonce"] != nil {
		t.Fatalf("ID token on refresh %v, first one %v", id, old)
	}
}

func TestSealingKeyRotationKeepsTokensGood(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0)
	code := w.code(0)
	if err := w.nodes[0].ring.Rotate(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.want(w.post(1, "/oauth2/token", w.codeForm(code)), 200)
	next := w.want(w.post(1, "/oauth2/token", refreshForm(got.Refresh)), 200)
	w.want(w.post(0, "/oauth2/token", refreshForm(next.Refresh)), 200)
}

// Who asks for too much is told what of it, whichever way they ask.
func TestRefusedScopeIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	got := w.want(w.post(0, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"api no:such"}}), 400)
	_, params := w.back(w.get(0, "/oauth2/authorize?"+w.request(set("scope", "openid no:such")).Encode(), true))
	for _, detail := range []string{got.Description, params.Get("error_description")} {
		if !strings.Contains(detail, "no:such") || strings.Contains(detail, "api") || strings.Contains(detail, "openid") {
			t.Errorf("%q", detail)
		}
	}
}

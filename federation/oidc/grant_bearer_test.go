package oidc

import (
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

const voucher = "https://issuer.example"

// trusting has the world's application trust an issuer, whose key is that of another.
func (w *world) trusting(subject string, change ...func(*federation.TrustedIssuer)) {
	w.t.Helper()
	issuer := federation.TrustedIssuer{
		Issuer: voucher, Subject: subject, Scopes: []string{"openid", "profile", "api", "offline_access"},
		JWKS: jwks(w.t, jose.JSONWebKey{Key: otherKey().Public(), KeyID: "v"}),
	}
	for _, f := range change {
		f(&issuer)
	}
	w.change(func(a *federation.Application) {
		a.GrantTypes = append([]string{federation.GrantJWTBearer}, w.app.GrantTypes...)
		if w.app.Allows(federation.GrantJWTBearer) {
			a.GrantTypes = w.app.GrantTypes
		}
		a.Issuers = []federation.TrustedIssuer{issuer}
	})
}

// vouch is a request with an assertion about a user.
func vouch(t testing.TB, subject string, change ...member) url.Values {
	t.Helper()
	about := []member{with("iss", voucher), with("sub", subject)}
	text := signJWT(t, otherKey(), "ES256", (&jose.SignerOptions{}).WithType("JWT"), assertionClaims("", append(about, change...)...))
	return url.Values{"grant_type": {federation.GrantJWTBearer}, "assertion": {text}}
}

func (w *world) bring(i int, form url.Values) *httptest.ResponseRecorder {
	return w.post(i, "/oauth2/token", form)
}

func TestJWTBearerGrant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	for kind, subject := range map[string]string{"": w.user.ID, "id": w.user.ID, "username": "Tester", "email": "tester@example.com"} {
		w.trusting(kind)
		var got tokenResponse
		if n := w.entries(func() { got = w.want(w.bring(0, vouch(t, subject)), 200) }); n != 1 {
			t.Errorf("%q: %d log entries, want 1", kind, n)
		}
		c := claims(t, got.Access)
		if c["sub"] != w.user.ID || c["aud"] != issuer || got.Refresh != "" || got.ID != "" || got.Scope != "openid profile api" {
			t.Errorf("%q: %+v %v", kind, got, c)
		}
		if rec := w.userinfo(0, got.Access); rec.Code != 200 {
			t.Errorf("userinfo: %d %s", rec.Code, rec.Body)
		}
		w.post(0, "/oauth2/revoke", url.Values{"token": {got.Access}})
		if rec := w.userinfo(0, got.Access); rec.Code != 401 {
			t.Errorf("userinfo of a revoked token: %d", rec.Code)
		}
	}
	w.trusting("email")
	form := vouch(t, "tester@example.com")
	form.Set("scope", "api offline_access")
	if got := w.want(w.bring(0, form), 200); got.Scope != "api" {
		t.Errorf("scope %q", got.Scope)
	}
	form = vouch(t, "tester@example.com")
	form.Set("scope", "email")
	w.wantError(w.bring(0, form), 400, "invalid_scope") // which the issuer may not give
	// The token is bound like any other.
	r := w.send(0, vouch(t, "tester@example.com"), basic, proving(t, clientKey()))
	if got := w.want(w.nodes[0].do(r), 200); got.Type != "DPoP" || confirmed(t, got.Access) == nil {
		t.Errorf("%+v", got)
	}
}

// TestAudienceOfAssertionIsNotCopied: the assertion is for us, and the token is for whom the request says.
func TestAudienceOfAssertionIsNotCopied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.trusting("username")
	form := vouch(t, "tester", with("aud", []string{issuer + "/oauth2/token", "https://bank.example"}))
	if aud := claims(t, w.want(w.bring(0, form), 200).Access)["aud"]; aud != issuer {
		t.Errorf("aud %v", aud)
	}
}

func TestRefusesVouchingAssertions(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	w.trusting("username")
	now := time.Now()
	sign := func(key any, alg, typ string, claims any) url.Values {
		return url.Values{"grant_type": {federation.GrantJWTBearer}, "assertion": {signJWT(t, key, alg, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)), claims)}}
	}
	mine := assertionClaims("", with("iss", voucher), with("sub", "tester"))
	for name, form := range map[string]url.Values{
		"another audience":     vouch(t, "tester", with("aud", "https://other.example")),
		"no audience":          vouch(t, "tester", without("aud")),
		"for the application":  vouch(t, "tester", with("aud", "web")),
		"an unknown issuer":    vouch(t, "tester", with("iss", "https://unknown.example")),
		"of the application":   vouch(t, "tester", with("iss", "web")),
		"of ourselves":         vouch(t, "tester", with("iss", issuer)),
		"expired":              vouch(t, "tester", with("exp", now.Add(-time.Minute).Unix())),
		"for hours":            vouch(t, "tester", with("exp", now.Add(time.Hour).Unix())),
		"no exp":               vouch(t, "tester", without("exp")),
		"no jti":               vouch(t, "tester", without("jti")),
		"nobody":               vouch(t, "stranger"),
		"about nobody":         vouch(t, "tester", without("sub")),
		"by ID":                vouch(t, w.user.ID),
		"another key":          sign(clientKey(), "ES256", "JWT", mine),
		"secret of the client": sign([]byte(secret), "HS256", "JWT", mine),
		"an access token":      sign(otherKey(), "ES256", "at+jwt", mine),
		"our own ID token":     {"grant_type": {federation.GrantJWTBearer}, "assertion": {w.tokens(0).ID}},
		"garbage":              {"grant_type": {federation.GrantJWTBearer}, "assertion": {"garbage"}},
	} {
		if n := w.entries(func() { w.wantError(w.bring(0, form), 400, "invalid_grant") }); n != 0 {
			t.Errorf("%s: %d log entries", name, n)
		}
	}
	w.wantError(w.bring(0, url.Values{"grant_type": {federation.GrantJWTBearer}}), 400, "invalid_request")
	// An address that nobody has verified is whoever wrote it into his profile.
	w.trusting("email")
	w.update(0, func(tx *fsm.Tx) error {
		_, err := directory.CreateUser(tx, tenant.ID, directory.User{Username: "mallory", Email: "boss@example.com"})
		return err
	})
	w.wantError(w.bring(0, vouch(t, "boss@example.com")), 400, "invalid_grant")
	// Whom the application is closed to, nobody can vouch into it.
	w.trusting("username")
	w.change(func(a *federation.Application) { a.AccessRestricted = true })
	w.wantError(w.bring(0, vouch(t, "tester")), 400, "invalid_grant")
}

// TestRefusesVouchingAssertionReplay: on another node, by another application, and in a race.
func TestRefusesVouchingAssertionReplay(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.trusting("username")
	form := vouch(t, "tester")
	w.want(w.bring(0, form), 200)
	for i := range w.nodes {
		w.wantError(w.bring(i, form), 400, "invalid_grant")
	}
	form = vouch(t, "tester")
	var mu sync.Mutex
	codes := map[int]int{}
	var wg sync.WaitGroup
	for i := range 50 {
		r := w.send(i%3, form, basic)
		wg.Go(func() {
			rec := w.nodes[i%3].do(r)
			mu.Lock()
			codes[rec.Code]++
			mu.Unlock()
		})
	}
	wg.Wait()
	if codes[200] != 1 || codes[200]+codes[400]+codes[503] != 50 {
		t.Errorf("answers %v, want one 200", codes)
	}
}

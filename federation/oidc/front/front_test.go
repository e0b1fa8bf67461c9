package front

import (
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

func TestModes(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Mode{"": Query, "jwt": QueryJWT, "form_post": FormPost, "fragment.jwt": FragmentJWT} {
		if m, ok := ParseMode(text); !ok || m != want {
			t.Errorf("%q: %q %v", text, m, ok)
		}
	}
	for _, bad := range []string{"web_message", "QUERY", "query ", "query.JWT", ".jwt", "query,fragment"} {
		if m, ok := ParseMode(bad); ok {
			t.Errorf("%q is taken for %q", bad, m)
		}
	}
	p := url.Values{"a": {"b c"}}
	for _, c := range []struct {
		mode     Mode
		uri, out string
	}{
		{Query, "https://a/cb", "https://a/cb?a=b+c"}, {Query, "https://a/cb?x=1", "https://a/cb?x=1&a=b+c"},
		{QueryJWT, "https://a/cb?", "https://a/cb?a=b+c"}, {Fragment, "https://a/cb?x=1", "https://a/cb?x=1#a=b+c"},
	} {
		if got := c.mode.Location(c.uri, p); got != c.out {
			t.Errorf("%s %s: %s", c.mode, c.uri, got)
		}
	}
}

// TestRefusesPolicyInjectionThroughRedirectURI: what form_post writes into the policy of
// its page is one source, whatever the redirect URI looks like.
func TestRefusesPolicyInjectionThroughRedirectURI(t *testing.T) {
	t.Parallel()
	for uri, want := range map[string]string{
		"https://app.example.com/cb;x":     "https://app.example.com",
		"https://app.example.com:8443/cb":  "https://app.example.com:8443",
		"http://127.0.0.1:9/cb":            "http://127.0.0.1:9",
		"http://[::1]:9/cb":                "http:",
		"https://a.example;script-src/cb":  "",
		"https://*/cb":                     "",
		"https://*.example.com/cb":         "",
		"https://a.example,b.example/cb":   "",
		"https://'self'/cb":                "",
		"https://user@app.example.com/cb":  "",
		"https:///cb":                      "",
		"com.example.app:/cb":              "",
		"javascript:alert(1)":              "",
		"https://a.example%20b.example/cb": "",
	} {
		if got, ok := PostSource(uri); got != want || ok != (want != "") {
			t.Errorf("%s: %q %v, want %q", uri, got, ok, want)
		}
	}
}

func newRing(t testing.TB) *seal.Ring {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, seal.Tables...)
	ring := sealtest.Ring(t, c.DB[0])
	return ring
}

func TestSealedRequest(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	now := time.UnixMilli(1_700_000_000_000)
	r := &Request{Family: family.ID{7}, Expires: now.Add(time.Minute).UnixMilli(), Pushed: true}
	form := url.Values{"client_id": {"web"}, "scope": {"openid"}, "resource": {"https://a", "https://b"}}
	r.Carry(form)
	uri, err := r.Seal(ring, "ten_1", "web")
	if err != nil || !IsSealed(uri) || strings.Contains(uri, "openid") {
		t.Fatal(uri, err)
	}
	got, err := Open(ring, "ten_1", "web", uri)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(form, got.Values("web")); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(r, got); d != "" {
		t.Error(d)
	}
	if got.Expired(now) || !got.Expired(now.Add(time.Minute)) {
		t.Error("the time of the request is not its own")
	}
	r.Form["state"] = []string{strings.Repeat("s", maxSealed)}
	if _, err := r.Seal(ring, "ten_1", "web"); !errors.Is(err, ErrTooLong) {
		t.Errorf("too long: %v", err)
	}
}

func TestRefusesSealedRequestOfAnotherClientOrTenant(t *testing.T) {
	t.Parallel()
	ring := newRing(t)
	r := &Request{Form: map[string][]string{"scope": {"openid"}}}
	uri, err := r.Seal(ring, "ten_1", "web")
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range [][2]string{{"ten_1", "we"}, {"ten_1", "other"}, {"ten_2", "web"}, {"", "web"}, {"ten_1", ""}} {
		if _, err := Open(ring, who[0], who[1], uri); !errors.Is(err, seal.ErrBox) {
			t.Errorf("opens for %v: %v", who, err)
		}
	}
	for _, bad := range []string{"", requestURN, uri + "A", uri[:len(uri)-1], strings.ToUpper(uri), "https://a/" + uri, requestURN + strings.Repeat("A", 9000)} {
		if _, err := Open(ring, "ten_1", "web", bad); !errors.Is(err, seal.ErrBox) {
			t.Errorf("%.60s opens: %v", bad, err)
		}
	}
}

func TestClaimsParameter(t *testing.T) {
	t.Parallel()
	c, err := ParseClaims(`{"userinfo":{"email":null,"sub":{"value":"usr_1"}},"other":7,
		"id_token":{"auth_time":{"essential":true},"acr":{"essential":true,"values":["a","b",3]}}}`)
	if err != nil {
		t.Fatal(err)
	}
	want := &Claims{
		IDToken:  []Claim{{Name: "acr", Essential: true, Values: []string{"a", "b"}}, {Name: "auth_time", Essential: true}},
		Userinfo: []Claim{{Name: "email"}, {Name: "sub", Values: []string{"usr_1"}}},
	}
	if d := cmp.Diff(want, c); d != "" {
		t.Error(d)
	}
	if acr, essential := c.ACR(); len(acr) != 2 || !essential || c.Subject() != "usr_1" {
		t.Errorf("acr %v %v, subject %q", acr, essential, c.Subject())
	}
	if again, err := ParseClaims(string(c.Text())); err != nil || !cmp.Equal(c, again) {
		t.Errorf("%s is read as %v: %v", c.Text(), again, err)
	}
	many := map[string]any{}
	for i := range maxClaims + 1 {
		many[strings.Repeat("c", i+1)] = nil
	}
	tooMany, _ := json.Marshal(map[string]any{"id_token": many})
	for _, bad := range []string{
		`[]`, `null`, `"x"`, `{`, `{"id_token":[]}`, `{"id_token":{"a":1}}`, `{"id_token":{"a":{"essential":"yes"}}}`, `{"id_token":{"a":{"values":"x"}}}`,
		`{"id_token":{"":null}}`, `{"id_token":{"a":null,"a":{"essential":true}}}`, `{"id_token":{},"id_token":{}}`, `{} {}`, `{"userinfo":{"a":{"value":"` + strings.Repeat("v", 300) + `"}}}`,
		string(tooMany), `{"x":"` + strings.Repeat("x", maxClaimsText) + `"}`, `{"id_token":{"a":{"values":[` + strings.Repeat(`"v",`, 30) + `"v"]}}}`,
	} {
		if _, err := ParseClaims(bad); err == nil {
			t.Errorf("%.80s is taken", bad)
		}
	}
	if c, err := ParseClaims(""); err != nil || len(c.IDToken)+len(c.Userinfo) != 0 {
		t.Errorf("nothing asked for: %v %v", c, err)
	}
}

func object(t testing.TB, text string) map[string]json.RawMessage {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestObjectParameters(t *testing.T) {
	t.Parallel()
	got, err := Parameters(object(t, `{"iss":"web","aud":["x"],"exp":1,"sub":"usr_1","client_id":"web","max_age":300,"scope":"openid",
		"claims":{"id_token": {"acr": null}},"authorization_details":[{"type": "a"}],"resource":["https://a","https://b"]}`), "web")
	if err != nil {
		t.Fatal(err)
	}
	want := url.Values{
		"client_id": {"web"}, "max_age": {"300"}, "scope": {"openid"}, "claims": {`{"id_token":{"acr":null}}`},
		"authorization_details": {`[{"type":"a"}]`}, "resource": {"https://a", "https://b"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestRefusesObjectsThatSmuggle(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no client": `{}`, "other client": `{"client_id":"other"}`, "client as a list": `{"client_id":["web"]}`,
		"nested": `{"client_id":"web","request":"x"}`, "by reference": `{"client_id":"web","request_uri":"https://a"}`,
		"client assertion": `{"client_id":"web","sub":"web"}`, "list": `{"client_id":"web","scope":["openid"]}`,
		"null": `{"client_id":"web","nonce":null}`, "float": `{"client_id":"web","max_age":1.5}`, "huge": `{"client_id":"web","max_age":1e400}`,
		"claims as number": `{"client_id":"web","claims":1}`, "resource as object": `{"client_id":"web","resource":{}}`,
	} {
		form, err := Parameters(object(t, text), "web")
		if !errors.As(err, new(ObjectFault)) {
			t.Errorf("%s: %v %v", name, form, err)
		}
	}
}

func FuzzParseClaims(f *testing.F) {
	f.Add(`{"id_token":{"acr":{"essential":true,"values":["a"]}}}`)
	f.Add(`{"userinfo":null}`)
	f.Add(`{"id_token":{"a":null,"a":null}}`)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := ParseClaims(text)
		if err == nil && (len(c.IDToken) > maxClaims || len(c.Userinfo) > maxClaims) {
			t.Fatalf("%q asks for too much", text)
		}
		if err == nil {
			if again, err := ParseClaims(string(c.Text())); len(c.Text()) < maxClaimsText && (err != nil || !cmp.Equal(c, again, cmpopts.EquateEmpty())) {
				t.Fatalf("%q is read again as %+v: %v", text, again, err)
			}
		}
		if err != nil && strings.ContainsAny(err.Error(), "\"\\\n") {
			t.Fatalf("%q: the error repeats what was sent: %v", text, err)
		}
	})
}

func FuzzOpenRequest(f *testing.F) {
	ring := newRing(f)
	r := &Request{Form: map[string][]string{"scope": {"openid"}}}
	good, err := r.Seal(ring, "ten_1", "web")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good + "=")
	f.Add(requestURN)
	f.Fuzz(func(t *testing.T, uri string) {
		if _, err := Open(ring, "ten_1", "web", uri); err == nil && uri != good {
			t.Fatalf("%q opens", uri)
		} else if err != nil && !errors.Is(err, seal.ErrBox) {
			t.Fatal(err)
		}
	})
}

func FuzzObjectParameters(f *testing.F) {
	f.Add(`{"client_id":"web","scope":"openid","resource":["a"]}`)
	f.Add(`{"client_id":"web","claims":{"a":[{"b":null}]},"max_age":-0}`)
	f.Fuzz(func(t *testing.T, text string) {
		var m map[string]json.RawMessage
		if json.Unmarshal([]byte(text), &m) != nil {
			return
		}
		form, err := Parameters(m, "web")
		switch {
		case err != nil && !errors.As(err, new(ObjectFault)):
			t.Fatal(err)
		case err == nil && (form.Get("client_id") != "web" || form.Has("request") || form.Has("request_uri")):
			t.Fatalf("%q becomes %v", text, form)
		}
	})
}

package register

import (
	"errors"
	"net/url"
	"testing"
	"time"

	"github.com/quis-idp/quis/federation"
)

// FuzzMetadata: whatever body is registered gives an application within the policy, or a reason.
func FuzzMetadata(f *testing.F) {
	for _, s := range []string{
		`{"redirect_uris":["https://app.example.com/cb"]}`, `{"redirect_uris":["https://a.example/cb"],"scope":"admin"}`, `{"jwks":null}`, `{"jwks":{"keys":[]}}`,
		`{"redirect_uris":["http://127.0.0.1/"],"token_endpoint_auth_method":"none","grant_types":["client_credentials"]}`, `[`, `{"a":1,"A":2}`, `{"redirect_uris":[null]}`,
	} {
		f.Add([]byte(s))
	}
	p := &Policy{Tenant: "t", Mode: Open, Hosts: []string{"app.example.com", "localhost"}}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parse(body)
		if err != nil {
			var fault *Fault
			if !errors.As(err, &fault) || statusOf[fault.Code] != 400 || fault.Detail == "" {
				t.Fatalf("%v", err)
			}
			return
		}
		a := &federation.Application{Tenant: "t", TokenExpiry: federation.DefaultTokenExpiry}
		if m.onto(a, p) != nil || p.permits(a) != nil || a.Check() != nil {
			return
		}
		p.impose(a, time.Now())
		if a.Consent == "" || a.Consent == federation.ConsentImplicit || a.Allows(federation.GrantClientCredentials) {
			t.Fatalf("%s gives %+v", body, a)
		}
		for _, raw := range a.RedirectURIs {
			u, err := url.Parse(raw)
			if err != nil || u.Host != "" && !hostIn(p.Hosts, u.Hostname()) || u.User != nil || federation.IsPattern(raw) {
				t.Fatalf("%s registers %q", body, raw)
			}
		}
		metadataOf(a)
	})
}

// FuzzDocument: whatever document a client_id leads to, the application that comes of it
// is public, asked for, and leads to the document's origin or to the person's machine.
func FuzzDocument(f *testing.F) {
	const id = "https://app.example.com/c"
	for _, s := range []string{
		`{"client_id":"` + id + `","redirect_uris":["https://app.example.com/cb"]}`, `{"client_id":"` + id + `","redirect_uris":["https://evil.example/cb"]}`,
		`{"client_id":"` + id + `","redirect_uris":["http://localhost/cb"],"logo_uri":"https://evil.example/x","client_secret":null}`, `{"client_id":1}`, `null`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parseDocument(body)
		if err != nil {
			return
		}
		a, err := described(m, &Policy{Tenant: "t", Documents: true}, "t", id)
		if err != nil {
			return
		}
		if !a.IsPublic || len(a.Secrets) != 0 || a.Consent != federation.ConsentExplicit || a.ClientID != id || len(a.Fetched()) != 0 {
			t.Fatalf("%s gives %+v", body, a)
		}
		for _, raw := range a.RedirectURIs {
			if u, err := url.Parse(raw); err != nil || u.Host != "app.example.com" && u.Hostname() != "localhost" && !loopbackHost(u.Hostname()) || u.Fragment != "" || u.User != nil {
				t.Fatalf("%s leads to %q", body, raw)
			}
		}
	})
}

func loopbackHost(host string) bool {
	return sameOrigin(&url.URL{Scheme: "https", Host: "none.invalid"}, "http://"+host+"/") || sameOrigin(&url.URL{}, "http://["+host+"]/")
}

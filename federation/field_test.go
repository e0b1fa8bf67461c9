package federation_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
)

// FuzzRedirectURI: what matches is registered, but for the port of a loopback address.
func FuzzRedirectURI(f *testing.F) {
	a := &federation.Application{IsPublic: true, RedirectURIs: []string{callback, "http://127.0.0.1/cb", "http://localhost/cb", "com.example.app:/cb"}}
	for _, u := range append(a.RedirectURIs, "http://127.0.0.1:99/cb", "http://localhost:1/cb", "http://127.0.0.1:/cb", "http://localhost:8080@evil.com/cb") {
		f.Add(u)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if !a.MatchRedirectURI(uri) {
			return
		}
		for _, r := range a.RedirectURIs {
			if uri == r {
				return
			}
		}
		for _, host := range []string{"http://127.0.0.1", "http://localhost"} {
			if port, ok := strings.CutPrefix(uri, host); ok {
				digits := strings.TrimSuffix(strings.TrimPrefix(port, ":"), "/cb")
				if strings.Trim(digits, "0123456789") == "" && strings.HasSuffix(port, "/cb") {
					return
				}
			}
		}
		t.Fatalf("%q matches", uri)
	})
}

// another is, for each field, a value that it may be changed to.
var another = map[string]any{
	"SigningAlg": "EdDSA", "GrantTypes": []string{"authorization_code"}, "Consent": "always", "MFAPolicy": "disabled", "Profile": "", "LaunchURL": callback, "IconURL": callback,
	"ClientURI": callback, "PolicyURI": callback, "TermsURI": callback, "TokenExpiry": int64(77), "RedirectURIs": []string{callback + "/other"},
	"PostLogoutURIs": []string{callback}, "AllowedScopes": []string{"openid"},
	"Auth":           federation.ClientAuth{Method: federation.AuthPost},
	"Tokens":         federation.TokenSettings{DPoPBound: true},
	"Requests":       federation.RequestSettings{RequirePAR: true},
	"Logout":         federation.LogoutSettings{BackchannelURI: callback},
	"Refresh":        federation.RefreshPolicy{Idle: 600},
	"Subject":        federation.SubjectPolicy{SectorURI: callback},
	"Claims":         []federation.ClaimMapping{{Claim: "department", Value: "x"}},
	"Exchange":       federation.ExchangePolicy{Impersonate: true},
	"CIBA":           federation.CIBASettings{Mode: "poll"},
	"Issuers":        []federation.TrustedIssuer{{Issuer: callback, JWKSURI: callback}},
	"AllowedOrigins": []string{"https://app.example.com"}, "Contacts": []string{"a@example.com"}, "Tags": []string{"team:a"},
}

// TestEveryFieldIsInItsEvent: a field that is added and not put into fields would change unseen.
func TestEveryFieldIsInItsEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{ClientID: "web", RedirectURIs: []string{callback}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	// Profile changes together with others: see TestProfile.
	fixed := []string{"ID", "Tenant", "ClientID", "IsPublic", "RequirePKCE", "Secrets", "Created", "Updated", "Registration", "Type", "Profile"}
	for i := range reflect.TypeFor[federation.Application]().NumField() {
		name := reflect.TypeFor[federation.Application]().Field(i).Name
		if slices.Contains(fixed, name) {
			continue
		}
		at := h.db.Position().Index
		err := h.db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant, a.ID, 0, func(a *federation.Application) error {
				v := reflect.ValueOf(a).Elem().Field(i)
				switch other, given := another[name]; {
				case given:
					v.Set(reflect.ValueOf(other))
				case v.Kind() == reflect.Bool:
					v.SetBool(!v.Bool())
				default:
					v.SetString("other")
				}
				return nil
			})
			return err
		})
		if err != nil || h.db.Position().Index == at {
			t.Errorf("a change of %s is not seen as one: %v", name, err)
		}
	}
}

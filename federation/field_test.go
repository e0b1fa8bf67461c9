package federation_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
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

// TestEveryFieldIsInItsEvent: a field that is added and not put into fields would change unseen.
func TestEveryFieldIsInItsEvent(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, _, err := h.create(federation.Application{ClientID: "web", RedirectURIs: []string{callback}}, secret)
	if err != nil {
		t.Fatal(err)
	}
	fixed := []string{"ID", "Tenant", "ClientID", "IsPublic", "RequirePKCE", "Secrets", "Created", "Updated", "Registration"}
	for i := range reflect.TypeFor[federation.Application]().NumField() {
		name := reflect.TypeFor[federation.Application]().Field(i).Name
		if slices.Contains(fixed, name) {
			continue
		}
		at := h.db.Position().Index
		err := h.db.Update(t.Context(), func(tx *fsm.Tx) error {
			_, err := federation.Update(tx, tenant, a.ID, 0, func(a *federation.Application) error {
				switch v := reflect.ValueOf(a).Elem().Field(i); {
				case name == "Type":
					return identity.Invalid("type", "decided once for a confidential one")
				case name == "SigningAlg":
					v.SetString("EdDSA")
				case strings.HasSuffix(name, "URL"):
					v.SetString(callback)
				case name == "GrantTypes":
					v.Set(reflect.ValueOf([]string{"authorization_code"}))
				case v.Kind() == reflect.String:
					v.SetString("other")
				case v.Kind() == reflect.Bool:
					v.SetBool(!v.Bool())
				case v.Kind() == reflect.Int64:
					v.SetInt(77)
				case v.Kind() == reflect.Struct:
					v.Field(0).Set(some(v.Field(0).Type()))
				default:
					v.Set(some(v.Type()))
				}
				return nil
			})
			return err
		})
		if name == "Type" {
			continue
		}
		if err != nil || h.db.Position().Index == at {
			t.Errorf("a change of %s is not seen as one: %v", name, err)
		}
	}
}

// some is a value of t that is not its zero.
func some(t reflect.Type) reflect.Value {
	v := reflect.New(t).Elem()
	switch t.Kind() {
	case reflect.String:
		v.SetString(callback + "/other")
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int64:
		v.SetInt(77)
	case reflect.Struct:
		v.Field(0).Set(some(t.Field(0).Type))
	default:
		v.Set(reflect.MakeSlice(t, 1, 1))
		v.Index(0).Set(some(t.Elem()))
	}
	return v
}

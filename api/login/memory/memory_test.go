package memory

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/assurance"
	"github.com/quis-idp/quis/keys/seal"
	"github.com/quis-idp/quis/keys/seal/sealtest"
)

func newMemory(t *testing.T) Memory {
	t.Helper()
	db := fsmtest.New(t, seal.Tables...)
	ring := sealtest.Ring(t, db)
	return Memory{ring}
}

// A browser keeps cookies between requests to one tenant.
type browser struct {
	t       *testing.T
	tenant  identity.Tenant
	cookies map[string]string
}

func (b *browser) request() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/login", nil)
	for name, value := range b.cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r.WithContext(identity.WithTenant(r.Context(), b.tenant))
}

func (b *browser) answer(do func(w http.ResponseWriter, r *http.Request)) {
	b.t.Helper()
	w := httptest.NewRecorder()
	do(w, b.request())
	for _, c := range w.Result().Cookies() {
		if !c.HttpOnly || !c.Secure || c.Path != "/" || !strings.HasPrefix(c.Name, "__Host-quis_accounts") {
			b.t.Errorf("cookie %s", c)
		}
		b.cookies[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b.cookies, c.Name)
		}
	}
}

func newBrowser(t *testing.T) *browser {
	return &browser{t, identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"}, map[string]string{}}
}

func users(accounts []Account) (ids []string) {
	for _, a := range accounts {
		ids = append(ids, a.UserID)
	}
	return ids
}

func TestRemembersAFewAccounts(t *testing.T) {
	t.Parallel()
	m, b := newMemory(t), newBrowser(t)
	if got := m.Accounts(b.request()); got != nil {
		t.Errorf("a new browser remembers %v", got)
	}
	for i := range 7 {
		b.answer(func(w http.ResponseWriter, r *http.Request) {
			m.Remember(w, r, fmt.Sprintf("usr_%026d", i), assurance.Password)
		})
	}
	b.answer(func(w http.ResponseWriter, r *http.Request) {
		m.Remember(w, r, fmt.Sprintf("usr_%026d", 4), assurance.Passkey)
	})
	got := m.Accounts(b.request())
	want := []string{}
	for _, i := range []int{4, 6, 5, 3, 2} {
		want = append(want, fmt.Sprintf("usr_%026d", i))
	}
	if !slices.Equal(users(got), want) || got[0].Method != assurance.Passkey || got[1].Method != assurance.Password {
		t.Errorf("remembered %+v, want %v", got, want)
	}
	for name, value := range b.cookies {
		if len(value) > maxCookie/2 || strings.Contains(value, "usr_") {
			t.Errorf("%s has %d bytes: %s", name, len(value), value)
		}
	}
	key := got[1].Key
	b.answer(func(w http.ResponseWriter, r *http.Request) { m.Forget(w, r, key) })
	if got := users(m.Accounts(b.request())); len(got) != 4 || slices.Contains(got, want[1]) {
		t.Errorf("after forgetting: %v", got)
	}
	for _, a := range m.Accounts(b.request()) {
		b.answer(func(w http.ResponseWriter, r *http.Request) { m.Forget(w, r, a.Key) })
	}
	if len(b.cookies) != 0 {
		t.Errorf("with nobody to remember there is a cookie: %v", b.cookies)
	}
}

func TestQuiet(t *testing.T) {
	t.Parallel()
	m, b, now := newMemory(t), newBrowser(t), time.Now()
	b.answer(func(w http.ResponseWriter, r *http.Request) { m.Remember(w, r, "usr_a", assurance.Password) })
	if m.Quiet(b.request(), "usr_a", now) {
		t.Error("quiet before anybody asked for it")
	}
	b.answer(func(w http.ResponseWriter, r *http.Request) { m.Quieten(w, r, "usr_a", now.Add(time.Hour)) })
	b.answer(func(w http.ResponseWriter, r *http.Request) { m.Remember(w, r, "usr_a", assurance.Password) })
	if !m.Quiet(b.request(), "usr_a", now) || m.Quiet(b.request(), "usr_a", now.Add(2*time.Hour)) {
		t.Error("quiet for another time than was asked for")
	}
}

// What is not sealed by us for this tenant is nobody.
func TestForeignCookies(t *testing.T) {
	t.Parallel()
	m, b := newMemory(t), newBrowser(t)
	b.answer(func(w http.ResponseWriter, r *http.Request) { m.Remember(w, r, "usr_a", assurance.Password) })
	sealed := b.cookies["__Host-quis_accounts"]
	other := newBrowser(t)
	other.tenant = identity.Tenant{ID: "ten_2", Slug: "acme", Issuer: "https://id.example.com/t/acme"}
	for _, value := range []string{sealed, "", "x", "%", strings.Repeat("A", 5000), sealed[:len(sealed)-2]} {
		other.cookies["__Host-quis_accounts_acme"] = value
		if got := m.Accounts(other.request()); got != nil {
			t.Errorf("%.20q: %v", value, got)
		}
	}
	if got := (Memory{}).Accounts(b.request()); got != nil {
		t.Errorf("without a ring: %v", got)
	}
	b.answer(func(w http.ResponseWriter, r *http.Request) { Memory{}.Remember(w, r, "usr_b", assurance.Password) })
	if got := users(m.Accounts(b.request())); !slices.Equal(got, []string{"usr_a"}) {
		t.Errorf("without a ring it was written: %v", got)
	}
}

package feedback

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/metrics"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/keys/seal"
)

func TestPasswordIsJudgedWhileItIsTyped(t *testing.T) {
	t.Parallel()
	c := fsmtest.NewCluster(t, 1, slices.Concat(seal.Tables, event.Tables, directory.Tables, credential.Tables, settings.Tables)...)
	if err := c.DB[0].Update(t.Context(), directory.EnsureDefault); err != nil {
		t.Fatal(err)
	}
	var refused atomic.Int64
	door, err := api.New(api.Config{PublicURL: "http://localhost:8080", DB: c.DB[0], Metrics: metrics.New("test", "none"),
		Rooms: []api.Room{New(c.DB[0], credential.Checks{}, func(rule string) { refused.Add(1) })}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(door.Public)
	defer server.Close()
	if err := c.DB[0].Update(t.Context(), func(tx *fsm.Tx) error {
		a := settings.Default(identity.DefaultTenant)
		a.Password.Blocklist = []string{"Rockets of Acme"}
		return settings.Put(tx, 0, a)
	}); err != nil {
		t.Fatal(err)
	}
	before := c.Entries()
	ask := func(form url.Values) (int, map[string]any) {
		t.Helper()
		r, err := server.Client().PostForm(server.URL+"/password/check", form)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		if c := r.Header.Get("Cache-Control"); r.StatusCode == http.StatusOK && c != "no-store" {
			t.Errorf("Cache-Control %q", c)
		}
		var v map[string]any
		_ = json.NewDecoder(r.Body).Decode(&v)
		return r.StatusCode, v
	}
	for password, want := range map[string]string{
		"a horse of course": "", "": "too_short", "short": "too_short", "ada lovelace of london": "personal", "passwordpassword": "common", "rockets of acme 2026": "blocked",
	} {
		status, v := ask(url.Values{"password": {password}, "username": {"ada"}, "name": {"Ada Lovelace of London"}})
		faults, _ := v["faults"].([]any)
		got := ""
		if len(faults) > 0 {
			got, _ = faults[0].(map[string]any)["code"].(string)
		}
		if status != http.StatusOK || got != want {
			t.Errorf("%q: %d %v", password, status, v)
		}
	}
	answer, err := server.Client().PostForm(server.URL+"/password/check?lang=de", url.Values{"password": {"short"}})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || !strings.Contains(string(b), "Verwenden Sie mindestens 15 Zeichen.") {
		t.Errorf("in German: %s %v", b, err)
	}
	r, err := server.Client().Get(server.URL + "/password/policy")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var policy map[string]any
	if err := json.NewDecoder(r.Body).Decode(&policy); err != nil || policy["blocklist"] != nil || policy["min_length"] != 15.0 || policy["check_breached"] != true {
		t.Errorf("policy %v, %v", policy, err)
	}
	if c.Entries() != before {
		t.Error("asking wrote to the log")
	}
	limited := false
	for range 60 {
		if status, _ := ask(url.Values{"password": {"x"}}); status == http.StatusTooManyRequests {
			limited = true
			break
		}
	}
	if !limited || refused.Load() != 1 {
		t.Error("nobody is held back")
	}
}

package daemon_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/keys/seal"
)

// An application that was given a token is one that was used: it was once written down by nobody.
func TestApplicationThatIsUsed(t *testing.T) {
	t.Parallel()
	c := alone(t, t.TempDir(), seal.GenerateRootKey())
	n := start(t, c)
	api, err := client.New("unix://"+socketOf(t, c.DataDir), "")
	if err != nil {
		t.Fatal(err)
	}
	name := "robot"
	app, err := api.Applications.Create(t.Context(), client.ApplicationFields{Name: &name, GrantTypes: []string{"client_credentials"}})
	if err != nil {
		t.Fatal(err)
	}
	if used := app.More["last_used"]; used != nil {
		t.Errorf("last used %v, before it was", used)
	}
	form := url.Values{"grant_type": {"client_credentials"}}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+n.PublicAddr().String()+"/oauth2/token", strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.SetBasicAuth(app.ClientID, app.ClientSecret)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.Body.Close(); resp.StatusCode != 200 {
		t.Fatalf("no token: %s", resp.Status)
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(30 * time.Second); ; {
		if app, err = api.Applications.Get(t.Context(), app.ID); err != nil {
			t.Fatal(err)
		}
		if app.More["last_used"] != nil {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("it was given a token, and nothing says that it was used")
		}
	}
}

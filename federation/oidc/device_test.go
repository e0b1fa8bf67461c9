package oidc

import (
	"fmt"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/device"
	"github.com/quis-idp/quis/federation/poll"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

// television registers an application without a browser.
func (w *world) television(id string) *federation.Application {
	w.t.Helper()
	return w.register(federation.Application{
		ClientID: id, Name: "Television", Type: federation.TypeOIDC, IsPublic: true,
		GrantTypes: []string{federation.GrantDevice, federation.GrantRefresh}, AllowedScopes: []string{"openid", "profile", "offline_access"},
	}, "")
}

// postAs sends a form as a public application.
func (w *world) postAs(i int, path string, app *federation.Application, form url.Values) *httptest.ResponseRecorder {
	form.Set("client_id", app.ClientID)
	r := formRequest(w.t.Context(), path, form)
	return w.nodes[i].do(r)
}

func (w *world) device(i int, app *federation.Application) (a deviceAnswer) {
	w.t.Helper()
	rec := w.postAs(i, devicePath, app, url.Values{"scope": {"openid profile offline_access"}})
	if rec.Code != 200 {
		w.t.Fatalf("%d %s", rec.Code, rec.Body)
	}
	decode(w.t, rec.Body.String(), &a)
	return a
}

func (w *world) poll(i int, app *federation.Application, code string) *httptest.ResponseRecorder {
	return w.postAs(i, "/oauth2/token", app, url.Values{"grant_type": {federation.GrantDevice}, "device_code": {code}})
}

// decide is what the page does.
func (w *world) decide(i int, a deviceAnswer, how func(*fsm.Tx, *device.Authorization, *session.Session) error) error {
	w.t.Helper()
	code, ok := device.ParseUserCode(a.UserCode)
	if !ok {
		w.t.Fatalf("user code %q", a.UserCode)
	}
	return w.cluster.DB[i].Update(w.t.Context(), func(tx *fsm.Tx) error {
		row, err := device.ByUserCode(tx, tenant.ID, code)
		if err != nil {
			return err
		}
		s, err := session.Get(tx, tenant.ID, w.session)
		if err != nil {
			return err
		}
		return how(tx, row, s)
	})
}

func approveDevice(tx *fsm.Tx, a *device.Authorization, s *session.Session) error {
	return device.Approve(tx, a.Tenant, a.Family, s)
}

func (w *world) approve(i int, a deviceAnswer) {
	w.t.Helper()
	if err := w.decide(i, a, approveDevice); err != nil {
		w.t.Fatal(err)
	}
}

func TestDeviceFlowAcrossNodes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	tv := w.television("tv")
	var a deviceAnswer
	if n := w.entries(func() { a = w.device(0, tv) }); n != 1 {
		t.Errorf("the start is %d entries", n)
	}
	if a.URI != issuer+"/device" || a.Complete != a.URI+"?user_code="+a.UserCode || a.Expires != 600 || a.Interval != 5 || len(a.Code) != 48 {
		t.Errorf("%+v", a)
	}
	n := w.entries(func() {
		for i := range 3 {
			w.wantError(w.poll(i, tv, a.Code), 400, "authorization_pending")
		}
	})
	if n != 0 {
		t.Errorf("three polls are %d entries", n)
	}
	if n := w.entries(func() { w.approve(1, a) }); n != 1 {
		t.Errorf("the approval is %d entries", n)
	}
	var got tokenResponse
	if n := w.entries(func() { got = w.want(w.poll(2, tv, a.Code), 200) }); n != 1 {
		t.Errorf("the exchange is %d entries", n)
	}
	if c := claims(t, got.ID); c["sub"] != w.user.ID || c["aud"] != "tv" || got.Refresh == "" || got.Scope != "openid profile offline_access" {
		t.Errorf("%+v, claims %v", got, c)
	}
	if rec := w.userinfo(0, got.Access); rec.Code != 200 {
		t.Errorf("userinfo: %d %s", rec.Code, rec.Body)
	}
	form := refreshForm(got.Refresh)
	w.want(w.postAs(1, "/oauth2/token", tv, form), 200)
	for _, e := range []event.Type{event.DeviceRequested, event.DeviceApproved, event.FamilyStarted} {
		if w.events(e) != 1 {
			t.Errorf("%d events %s", w.events(e), e)
		}
	}
}

func TestDeviceThatIsRefusedGetsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	a := w.device(0, tv)
	err := w.decide(0, a, func(tx *fsm.Tx, a *device.Authorization, s *session.Session) error {
		return device.Deny(tx, a.Tenant, a.Family, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	w.wantError(w.poll(0, tv, a.Code), 400, "access_denied")
}

func TestRefusesDeviceCodeOfAnotherClient(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv, radio := w.television("tv"), w.television("radio")
	a := w.device(0, tv)
	w.approve(0, a)
	w.wantError(w.poll(0, radio, a.Code), 400, "invalid_grant")
	w.wantError(w.post(0, "/oauth2/token", url.Values{"grant_type": {federation.GrantDevice}, "device_code": {a.Code}}), 400, "unauthorized_client")
	w.wantError(w.poll(0, tv, a.Code[:47]+string(a.Code[47]^1)), 400, "invalid_grant")
	w.wantError(w.poll(0, tv, strings.Repeat("A", 48)), 400, "invalid_grant")
	w.wantError(w.poll(0, tv, ""), 400, "invalid_request")
	w.want(w.poll(0, tv, a.Code), 200)
}

func TestRefusesDeviceCodeOfAnotherTenant(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	a := w.device(0, tv)
	w.approve(0, a)
	id, err := poll.Device.Parse(w.nodes[0].ring, "ten_other", tv.ClientID, a.Code)
	if err == nil {
		t.Errorf("is one there: %v", id)
	}
}

func TestTellsDevicesThatPollTooFastToSlowDown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	a := w.device(0, tv)
	w.wantError(w.poll(0, tv, a.Code), 400, "authorization_pending")
	n := w.entries(func() {
		for range 50 {
			w.wantError(w.poll(0, tv, a.Code), 400, "slow_down")
		}
	})
	if n != 0 {
		t.Errorf("%d entries", n)
	}
	other := w.device(0, tv)
	w.wantError(w.poll(0, tv, other.Code), 400, "authorization_pending")
	w.approve(0, a)
	w.want(w.poll(0, tv, a.Code), 200) // what is decided is told, however fast
}

func TestRefusesReplayOfADeviceCode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	tv := w.television("tv")
	a := w.device(0, tv)
	w.approve(0, a)
	got := w.want(w.poll(0, tv, a.Code), 200)
	if n := w.entries(func() { w.wantError(w.poll(1, tv, a.Code), 400, "invalid_grant") }); n != 1 {
		t.Errorf("a replay is %d entries", n)
	}
	if n := w.entries(func() { w.wantError(w.poll(0, tv, a.Code), 400, "expired_token") }); n != 0 {
		t.Errorf("another one is %d entries", n)
	}
	w.wantError(w.postAs(0, "/oauth2/token", tv, refreshForm(got.Refresh)), 400, "invalid_grant")
	if rec := w.userinfo(1, got.Access); rec.Code != 401 {
		t.Errorf("the access token is good: %d", rec.Code)
	}
	if w.events(event.TokenReused) != 1 {
		t.Errorf("%d events of reuse", w.events(event.TokenReused))
	}
}

// However many exchanges run on three nodes, one makes the family.
func TestRacesOfDeviceExchangesHaveOneWinner(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	tv := w.television("tv")
	for range 20 {
		a := w.device(0, tv)
		w.approve(1, a)
		for _, n := range w.nodes {
			if err := n.db.WaitApplied(t.Context(), w.cluster.DB[1].Position().Index); err != nil {
				t.Fatal(err)
			}
		}
		var all sync.WaitGroup
		var mu sync.Mutex
		won := 0
		for i := range 9 {
			all.Go(func() {
				rec := w.poll(i%3, tv, a.Code)
				mu.Lock()
				defer mu.Unlock()
				switch {
				case rec.Code == 200:
					won++
				case !strings.Contains(rec.Body.String(), "invalid_grant") && !strings.Contains(rec.Body.String(), "expired_token"):
					t.Errorf("%d %s", rec.Code, rec.Body)
				}
			})
		}
		all.Wait()
		if won != 1 {
			t.Fatalf("%d have won", won)
		}
	}
}

func TestRefusesDeviceExchangeAfterSignOutOrLossOfAccess(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	a := w.device(0, tv)
	w.approve(0, a)
	w.update(0, func(tx *fsm.Tx) error {
		_, err := federation.Update(tx, tenant.ID, tv.ID, 0, func(a *federation.Application) error {
			a.AccessRestricted = true
			return nil
		})
		return err
	})
	w.wantError(w.poll(0, tv, a.Code), 400, "invalid_grant")

	radio := w.television("radio")
	rec := w.postAs(0, devicePath, radio, url.Values{"scope": {"openid"}}) // without offline_access it hangs on the session
	decode(t, rec.Body.String(), &a)
	w.approve(0, a)
	w.update(0, func(tx *fsm.Tx) error { return session.End(tx, tenant.ID, w.session) })
	w.wantError(w.poll(0, radio, a.Code), 400, "invalid_grant")
}

func TestRefusesDevicesThatMayNotAsk(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	w.wantError(w.post(0, devicePath, url.Values{}), 400, "unauthorized_client")
	w.wantError(w.postAs(0, devicePath, tv, url.Values{"scope": {"openid email"}}), 400, "invalid_scope")
	w.wantError(w.postAs(0, devicePath, tv, url.Values{"resource": {"https://nobody.example"}}), 400, "invalid_target")
	w.wantError(w.postAs(0, devicePath, &federation.Application{ClientID: "nobody"}, url.Values{}), 401, "invalid_client")
	if n := w.events(event.DeviceRequested); n != 0 {
		t.Errorf("%d have begun", n)
	}
}

func TestRefusesAFloodOfDeviceAuthorizations(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	tv := w.television("tv")
	refused, limit := 0, int(device.Limit.PerFrom)
	n := w.entries(func() {
		for range limit + 20 {
			r := formRequest(identity.WithRequest(t.Context(), identity.Request{IP: "192.0.2.9"}), devicePath, url.Values{"client_id": {tv.ClientID}})
			if rec := w.nodes[0].do(r); rec.Code == 503 && rec.Header().Get("Retry-After") != "" {
				refused++
			}
		}
	})
	if n < limit || n > limit+limit/10 || refused != limit+20-n { // the window slides while a slow machine asks
		t.Errorf("%d refused, %d entries", refused, n)
	}
}

func TestMetadataNamesWaitingGrants(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	var d map[string]any
	decode(t, w.get(0, "/.well-known/openid-configuration", false).Body.String(), &d)
	grants := fmt.Sprint(d["grant_types_supported"])
	if d["device_authorization_endpoint"] != issuer+devicePath || d["backchannel_authentication_endpoint"] != issuer+decoupledPath ||
		!strings.Contains(grants, federation.GrantDevice) || !strings.Contains(grants, federation.GrantCIBA) {
		t.Errorf("%v", d)
	}
	modes, _ := d["backchannel_token_delivery_modes_supported"].([]any)
	if !slices.Contains(modes, any("poll")) || !slices.Contains(modes, any("ping")) {
		t.Errorf("modes %v", modes)
	}
}

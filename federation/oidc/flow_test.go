package oidc

import (
	"encoding/json"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/session"
)

func TestFlowAcrossNodesWithOneEntryEach(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)

	var code string
	if n := w.entries(func() { code = w.code(0) }); n != 0 {
		t.Fatalf("authorize cost %d log entries, want 0", n)
	}
	var got tokenResponse
	if n := w.entries(func() { got = w.want(w.post(1, "/oauth2/token", w.codeForm(code)), 200) }); n != 1 {
		t.Fatalf("exchange cost %d log entries, want 1", n)
	}
	if got.Type != "Bearer" || got.Scope != "openid profile email" || got.Refresh == "" {
		t.Fatalf("token response %+v", got)
	}
	id := claims(t, got.ID)
	if id["nonce"] != "some-nonce" || id["sub"] != w.user.ID || id["aud"] != "web" || id["iss"] != issuer ||
		id["email"] != "tester@example.com" || id["sid"] != w.session || id["acr"] != "urn:quis:acr:aal1" {
		t.Fatalf("ID token claims %v", id)
	}
	if n := w.entries(func() {
		rec := w.userinfo(2, got.Access)
		var info map[string]any
		if err := json.Unmarshal(rec.Body.Bytes(), &info); err != nil || rec.Code != 200 || info["name"] != "Test User" || info["sub"] != w.user.ID {
			t.Fatalf("userinfo %d %s", rec.Code, rec.Body)
		}
	}); n != 0 {
		t.Fatalf("userinfo cost %d log entries, want 0", n)
	}
	var next tokenResponse
	if n := w.entries(func() { next = w.want(w.post(2, "/oauth2/token", refreshForm(got.Refresh)), 200) }); n != 1 {
		t.Fatalf("refresh cost %d log entries, want 1", n)
	}
	if next.Refresh == "" || next.Refresh == got.Refresh || next.Access == got.Access || next.ID != "" {
		t.Fatalf("refresh response %+v", next)
	}
	if n := w.entries(func() {
		again := w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
		if again.Refresh != next.Refresh {
			t.Fatal("a retry within the grace time yields another successor")
		}
	}); n != 0 {
		t.Fatalf("retry within the grace time cost %d log entries, want 0", n)
	}
	if n := w.entries(func() {
		r := w.want(w.post(1, "/oauth2/token", url.Values{"grant_type": {"client_credentials"}, "scope": {"api"}}), 200)
		if r.Refresh != "" || r.Scope != "api" || claims(t, r.Access)["sub"] != "web" {
			t.Fatalf("client credentials response %+v", r)
		}
	}); n != 0 {
		t.Fatalf("client_credentials cost %d log entries, want 0", n)
	}
}

func TestRefreshOnALaggingNodeWaits(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.cluster.Pause(2)
	got := w.tokens(0)
	done := make(chan tokenResponse)
	go func() {
		r, _ := decodeTokens(w.post(2, "/oauth2/token", refreshForm(got.Refresh)))
		done <- r
	}()
	// The node may answer only after it has caught up; until then it waits.
	select {
	case r := <-done:
		t.Fatalf("answered %+v before the state was there", r)
	case <-time.After(50 * time.Millisecond):
	}
	w.cluster.Resume(t, 2)
	if r := <-done; r.Refresh == "" || r.Error != "" {
		t.Fatalf("refresh on the node that lagged: %+v", r)
	}
}

func TestParallelRefreshesYieldOneSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	got := w.tokens(0)
	const callers = 16
	responses := make([]tokenResponse, callers)
	var wg sync.WaitGroup
	n := w.entries(func() {
		for i := range callers {
			wg.Go(func() { responses[i], _ = decodeTokens(w.post(i%3, "/oauth2/token", refreshForm(got.Refresh))) })
		}
		wg.Wait()
	})
	for _, r := range responses {
		if r.Error != "" || r.Refresh != responses[0].Refresh || r.Refresh == "" {
			t.Fatalf("responses differ: %+v and %+v", r, responses[0])
		}
	}
	t.Logf("%d parallel refreshes cost %d log entries, refused ones included", callers, n)
	w.want(w.post(1, "/oauth2/token", refreshForm(responses[0].Refresh)), 200)
}

// TestRefreshSentTwiceHasOneSuccessor: the leader's answer was lost and the batch entered
// the log a second time. Who asks again within the grace time must get the same token.
func TestRefreshSentTwiceHasOneSuccessor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	got := w.tokens(0)
	w.cluster.Repeat(1)
	first := w.want(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 200)
	second := w.want(w.post(1, "/oauth2/token", refreshForm(got.Refresh)), 200)
	if first.Refresh != second.Refresh {
		t.Errorf("one refresh token has two successors: %s, %s", first.Refresh, second.Refresh)
	}
}

func TestParallelExchangesOfOneCodeSucceedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	code := w.code(0)
	const callers = 32
	results := make([]int, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { results[i] = w.post(i%3, "/oauth2/token", w.codeForm(code)).Code })
	}
	wg.Wait()
	won := 0
	for _, status := range results {
		switch status {
		case http.StatusOK:
			won++
		case http.StatusBadRequest:
		default:
			t.Errorf("status %d", status)
		}
	}
	if won != 1 {
		t.Fatalf("%d exchanges of one code succeeded, want 1", won)
	}
}

func TestCodeReplayRevokesTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	code := w.code(0)
	got := w.want(w.post(0, "/oauth2/token", w.codeForm(code)), 200)
	if n := w.entries(func() { w.wantError(w.post(1, "/oauth2/token", w.codeForm(code)), 400, "invalid_grant") }); n != 1 {
		t.Fatalf("first replay cost %d log entries, want 1", n)
	}
	if n := w.entries(func() { w.wantError(w.post(2, "/oauth2/token", w.codeForm(code)), 400, "invalid_grant") }); n != 0 {
		t.Fatalf("second replay cost %d log entries, want 0", n)
	}
	for i := range w.nodes {
		w.wantError(w.post(i, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
		w.wantError(w.userinfo(i, got.Access), 401, "invalid_token")
	}
	if w.events(event.TokenReused) != 1 || w.events(event.FamilyRevoked) != 1 {
		t.Fatalf("%d reuse and %d revocation events, want 1 each", w.events(event.TokenReused), w.events(event.FamilyRevoked))
	}
}

func TestRefreshReuseRevokesTheFamily(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, func(c *Config) { c.Grace = time.Nanosecond })
	first := w.tokens(0)
	second := w.want(w.post(1, "/oauth2/token", refreshForm(first.Refresh)), 200)
	w.cluster.Advance(time.Second)
	w.signIn() // carries the leader's clock into the state
	if n := w.entries(func() { w.wantError(w.post(2, "/oauth2/token", refreshForm(first.Refresh)), 400, "invalid_grant") }); n != 1 {
		t.Fatalf("reuse cost %d log entries, want 1", n)
	}
	if n := w.entries(func() { w.wantError(w.post(0, "/oauth2/token", refreshForm(first.Refresh)), 400, "invalid_grant") }); n != 0 {
		t.Fatalf("second reuse cost %d log entries, want 0", n)
	}
	for i := range w.nodes {
		w.wantError(w.post(i, "/oauth2/token", refreshForm(second.Refresh)), 400, "invalid_grant")
	}
	if w.events(event.TokenReused) != 1 {
		t.Fatal("no event of the reuse")
	}
}

func TestSkippedGenerationIsReuseEvenWithinGrace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1)
	first := w.tokens(0)
	second := w.want(w.post(0, "/oauth2/token", refreshForm(first.Refresh)), 200)
	third := w.want(w.post(0, "/oauth2/token", refreshForm(second.Refresh)), 200)
	w.wantError(w.post(0, "/oauth2/token", refreshForm(first.Refresh)), 400, "invalid_grant")
	w.wantError(w.post(0, "/oauth2/token", refreshForm(third.Refresh)), 400, "invalid_grant")
}

func TestFamilyEndsWithItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2)
	bound := w.tokens(0)
	offline := w.tokens(0, set("scope", "openid offline_access"))
	w.update(0, func(tx *fsm.Tx) error { return session.End(tx, tenant.ID, w.session) })
	w.wantError(w.post(1, "/oauth2/token", refreshForm(bound.Refresh)), 400, "invalid_grant")
	w.wantError(w.userinfo(1, bound.Access), 401, "invalid_token")
	w.want(w.post(1, "/oauth2/token", refreshForm(offline.Refresh)), 200)
	if rec := w.userinfo(1, offline.Access); rec.Code != 200 {
		t.Fatalf("userinfo of an offline family: %d %s", rec.Code, rec.Body)
	}
}

func TestIdleAndAbsoluteLifetimes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(c *Config) { c.Idle, c.Absolute = 10*24*time.Hour, 25*24*time.Hour })
	offline := set("scope", "openid offline_access")
	pass := func(d time.Duration) { w.cluster.Advance(d); w.signIn() }

	idle := w.tokens(0, offline)
	pass(11 * 24 * time.Hour)
	w.wantError(w.post(0, "/oauth2/token", refreshForm(idle.Refresh)), 400, "invalid_grant")

	r := w.tokens(0, offline)
	for range 2 {
		pass(9 * 24 * time.Hour)
		r = w.want(w.post(0, "/oauth2/token", refreshForm(r.Refresh)), 200)
	}
	pass(9 * 24 * time.Hour)
	w.wantError(w.post(0, "/oauth2/token", refreshForm(r.Refresh)), 400, "invalid_grant")
}

func TestLaggingNodeCatchesUpForWhatIsNew(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3)
	w.cluster.Pause(2)
	w.signIn() // a session that node 2 has not seen
	got := w.want(w.post(2, "/oauth2/token", w.codeForm(w.code(0))), 200)
	if got.Access == "" {
		t.Fatal("no token")
	}
	got = w.tokens(0) // a family that node 2 has not seen
	if rec := w.userinfo(2, got.Access); rec.Code != 200 {
		t.Fatalf("userinfo %d %s", rec.Code, rec.Body)
	}
}

func TestIdleShorterThanTheAccessToken(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, func(c *Config) { c.Idle = 10 * time.Minute })
	got := w.tokens(0)
	w.cluster.Advance(11 * time.Minute)
	w.signIn()
	// The row is still there for the access token, which lives an hour.
	w.wantError(w.post(0, "/oauth2/token", refreshForm(got.Refresh)), 400, "invalid_grant")
	if rec := w.userinfo(0, got.Access); rec.Code != 200 {
		t.Fatalf("userinfo %d %s", rec.Code, rec.Body)
	}
}

package house_test

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/e2e/house"
	"github.com/quis-idp/quis/e2e/testbed"
)

// open starts a house for a story of its own.
func open(t *testing.T, seed uint64) *house.House {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	h, err := house.Open(ctx, t.TempDir(), seed, t.Logf)
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// under does faults, one after the other, while clients work, and judges.
func under(t *testing.T, h *house.House, faults ...house.Fault) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	working, stop := context.WithCancel(ctx)
	var clients sync.WaitGroup
	clients.Go(func() { h.Work(working) })
	for _, f := range faults {
		if err := h.Do(ctx, house.Round{Faults: []house.Fault{f}, Rest: 300 * time.Millisecond}); err != nil {
			t.Errorf("%+v: %v", f, err)
		}
	}
	stop()
	clients.Wait()
	if t.Failed() {
		return
	}
	for _, v := range h.Audit(ctx) {
		t.Error(v)
	}
	t.Log(h.Sum())
}

// What was acknowledged is there after all nodes lost their power at once, with none, some or
// all of what their stores had not synced.
func TestPowerLossOfAll(t *testing.T) {
	h := open(t, 21)
	var faults []house.Fault
	for draw := range uint64(4) {
		faults = append(faults, house.Fault{Kind: house.AllPowerLoss, Hold: 100 * time.Millisecond, Draw: draw})
	}
	under(t, h, faults...)
}

// A node that is removed notices, ends, and comes back empty as a voter while others write.
func TestRejoinUnderLoad(t *testing.T) {
	h := open(t, 22)
	under(t, h, house.Fault{Kind: house.Rejoin, Place: 0}, house.Fault{Kind: house.Rejoin, Place: 1})
}

// A person goes to another node with every request, over a network so slow that no node has
// heard yet of what the one before it has done.
func TestHoppingBrowser(t *testing.T) {
	t.Parallel()
	h := open(t, 23)
	h.Net.Delay(30*time.Millisecond, 20*time.Millisecond)
	p := testbed.NewPerson(house.Username, house.Password)
	at := func(k int) string { return h.Rooms[k%len(h.Rooms)].URL }
	for k := range 9 {
		a, err := p.Authorize(t.Context(), at(k), house.Web)
		if err != nil {
			t.Fatalf("sign-in %d: %v", k, err)
		}
		tokens, err := house.Web.Exchange(t.Context(), at(k+1), a)
		if err != nil {
			t.Fatalf("exchange %d: %v", k, err)
		}
		if tokens, err = house.Web.Refresh(t.Context(), at(k+2), tokens.RefreshToken); err != nil {
			t.Fatalf("refresh %d: %v", k, err)
		}
		if _, err := testbed.UserInfo(t.Context(), at(k), tokens.AccessToken); err != nil {
			t.Fatalf("userinfo %d: %v", k, err)
		}
	}
}

// A code whose time is over stays dead when clocks go back, and the log's time does not. Once
// the nodes have read each other's clocks again, sign-ins succeed at once.
func TestClocksThatJump(t *testing.T) {
	t.Parallel()
	h := open(t, 24)
	latest := map[string]time.Time{}
	p := testbed.NewPerson(house.Username, house.Password)
	write := func() *testbed.Authorization {
		t.Helper()
		a, err := p.Authorize(t.Context(), h.Rooms[0].URL, house.Web)
		if err != nil {
			t.Fatal(err)
		}
		signIn(t, h, 0)
		for _, r := range h.Rooms {
			now := r.Node().DB().Position().Time
			if now.Before(latest[r.Name]) {
				t.Errorf("the time of %s went from %v to %v", r.Name, latest[r.Name], now)
			}
			latest[r.Name] = now
		}
		return a
	}
	for _, jump := range []time.Duration{5 * time.Minute, 0, -5 * time.Minute, 10 * time.Minute, 0} {
		old := write()
		before := latest[h.Rooms[0].Name]
		for _, r := range h.Rooms {
			r.SetClock(jump)
		}
		agree(t, h, jump)
		write()
		if now := latest[h.Rooms[0].Name]; now.Sub(before) > 2*time.Minute {
			for _, r := range h.Rooms {
				if _, err := house.Web.Exchange(t.Context(), r.URL, old); err == nil {
					t.Errorf("%s redeemed a code %v after its issue", r.Name, now.Sub(before))
				}
			}
		}
	}
}

// signIn signs somebody in: the code comes from one node, the tokens from the next, and the last one is asked.
func signIn(t *testing.T, h *house.House, first int) {
	t.Helper()
	at := func(k int) *house.Room { return h.Rooms[(first+k)%len(h.Rooms)] }
	a, err := testbed.NewPerson(house.Username, house.Password).Authorize(t.Context(), at(0).URL, house.Web)
	if err != nil {
		t.Fatalf("sign-in on %s: %v", at(0).Name, err)
	}
	tokens, err := house.Web.Exchange(t.Context(), at(1).URL, a)
	if err != nil {
		t.Fatalf("exchange on %s: %v", at(1).Name, err)
	}
	if _, err := testbed.UserInfo(t.Context(), at(2).URL, tokens.AccessToken); err != nil {
		t.Fatalf("userinfo on %s: %v", at(2).Name, err)
	}
}

// agree waits until all nodes have noticed that all clocks are ahead by this much now.
func agree(t *testing.T, h *house.House, ahead time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // they ask twice a second
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for _, r := range h.Rooms {
		for r.Node().Cluster().Now().Sub(time.Now().Add(ahead)).Abs() > time.Second {
			select {
			case <-tick.C:
			case <-ctx.Done():
				t.Fatalf("%s goes by %v", r.Name, r.Node().Cluster().Now())
			}
		}
	}
}

// The clock of one node is wrong, be it the leader's or not, while it runs and when it starts: sign-ins
// succeed on every node that is ready, without any wait.
func TestOneClockIsWrong(t *testing.T) {
	t.Parallel()
	h := open(t, 27)
	for k, wrong := range []time.Duration{10 * time.Minute, -10 * time.Minute, 24 * time.Hour} {
		r := h.Rooms[k]
		r.SetClock(wrong)
		for first := range h.Rooms {
			signIn(t, h, first)
		}
		if err := r.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.Node().Cluster().WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		for first := range h.Rooms {
			signIn(t, h, first)
		}
		r.SetClock(0)
		signIn(t, h, k)
	}
}

// Neither logs nor anything else on disk holds a secret that somebody could use.
func TestNoSecretInClear(t *testing.T) {
	t.Parallel()
	h := open(t, 25)
	p := testbed.NewPerson(house.Username, house.Password)
	a, err := p.Authorize(t.Context(), h.Rooms[0].URL, house.Web)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := house.Web.Exchange(t.Context(), h.Rooms[1].URL, a)
	if err != nil {
		t.Fatal(err)
	}
	next, err := house.Web.Refresh(t.Context(), h.Rooms[2].URL, tokens.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	secrets := map[string]string{
		"password": house.Password, "client secret": house.Web.Secret, "access token of an administrator": house.Token,
		"code": a.Code, "access token": tokens.AccessToken, "refresh token": tokens.RefreshToken, "its successor": next.RefreshToken, "ID token": tokens.IDToken,
	}
	if err := h.Rooms[0].Stop(t.Context()); err != nil { // which writes its store
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	names, logs := 0, 0
	for _, r := range h.Rooms {
		err := r.Files(func(name string, content []byte) {
			names++
			if filepath.Base(name) == "raft.db" {
				if logs++; !bytes.Contains(content, []byte("tester@example.com")) {
					t.Errorf("%s does not hold what it must: the test does not test", name)
				}
			}
			for what, s := range secrets {
				if s == "" || bytes.Contains(content, []byte(s)) {
					t.Errorf("%s holds a %s in clear", name, what)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if logs != len(h.Rooms) || names < 10 {
		t.Errorf("%d files of which %d are logs: the test does not test", names, logs)
	}
}

// Nodes that may answer from a state of ten seconds ago do so while they are cut off, and
// that is found: the suite can fail.
func TestStaleAnswersAreFound(t *testing.T) {
	t.Parallel()
	h, err := house.OpenWith(t.Context(), t.TempDir(), 26, t.Logf, house.Tuning{Staleness: 20 * time.Second})
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}()
	if err != nil {
		t.Fatal(err)
	}
	var cut *house.Room
	for _, r := range h.Rooms {
		if r != h.Leader() {
			cut = r
		}
	}
	leader := h.Leader()
	p := testbed.NewPerson(house.Username, house.Password)
	a, err := p.Authorize(t.Context(), leader.URL, house.Web)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := house.Web.Exchange(t.Context(), leader.URL, a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := testbed.UserInfo(t.Context(), cut.URL, tokens.AccessToken); err != nil {
		t.Fatal(err)
	}
	h.Net.Isolate(cut.Place)
	rec := history.NewRecorder()
	op := rec.Begin(history.Op{Kind: history.Revoke, Key: "family", Node: leader.Name})
	if err := house.PostRevoke(t.Context(), leader.URL, tokens.RefreshToken); err != nil {
		t.Fatal(err)
	}
	op.End(history.OK, "", "")
	for end := time.Now().Add(700 * time.Millisecond); time.Now().Before(end); {
		op := rec.Begin(history.Op{Kind: history.Use, Key: "family", Node: cut.Name})
		if _, err := testbed.UserInfo(t.Context(), cut.URL, tokens.AccessToken); err != nil {
			t.Fatalf("refused: %v", err)
		}
		op.End(history.OK, "", "")
	}
	if bad := history.Check(rec.Ops(), history.Options{Stale: 510 * time.Millisecond}); len(bad) == 0 {
		t.Error("a use 600 ms after the revocation was not found")
	}
	h.Net.Heal()
}

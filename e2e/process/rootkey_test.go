package process

import (
	"context"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/keys/seal"
)

type shownRootKey struct {
	InUse     string `json:"in_use"`
	Droppable bool   `json:"droppable"`
	Step      string `json:"step"`
	Items     []struct {
		Name string   `json:"name"`
		Keys []string `json:"keys"`
	} `json:"items"`
}

func rootKeyOf(t *testing.T, s *server) (k shownRootKey) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.told("root-key", "show", "-o", "json")), &k); err != nil {
		t.Fatal(err)
	}
	return k
}

// awaitRootKey asks until ok holds.
func awaitRootKey(t *testing.T, s *server, what string, ok func(shownRootKey) bool) {
	t.Helper()
	deadline := time.After(patience)
	for {
		k := rootKeyOf(t, s)
		if ok(k) {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: still %+v", what, k)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func inFile(t *testing.T, s *server) *seal.RootKey {
	t.Helper()
	k, err := seal.LoadRootKey(s.keys["root_key_file"], "")
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The root key of three nodes is replaced while people sign in through a balancer. Not one
// request fails; in the end the former key opens nothing.
func TestReplaceRootKey(t *testing.T) {
	t.Parallel()
	b := newBalancer(t)
	nodes := threeServers(t, b.front.URL)
	for _, s := range nodes {
		s.keys["drain"] = "1s"
		s.run()
	}
	for _, s := range nodes {
		s.waitReady()
		b.add(t, s.public())
	}
	b.watch(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	u := &users{base: b.front.URL}
	var wg sync.WaitGroup
	wg.Go(func() { u.run(ctx) })
	wg.Go(func() { u.refresh(ctx) })
	file := func(s *server) []string { return []string{"--root-key-file", s.keys["root_key_file"]} }
	restart := func(s *server) {
		s.cmd.Process.Signal(syscall.SIGTERM)
		if code := s.ended(); code != 0 {
			t.Errorf("exit code %d after SIGTERM:\n%s", code, s.stderr.String())
		}
		s.clean()
		s.run()
		s.waitReady()
		b.await(t, s.public())
	}

	first := nodes[0]
	former := inFile(t, first)
	first.expect(5, []string{"alone", "root-key add"}, append([]string{"root-key", "use"}, file(first)...)...)
	first.expect(0, []string{former.ID()}, append([]string{"root-key", "add"}, file(first)...)...)
	both := inFile(t, first)
	now := both.Keys()[1]
	secrets := []string{now.Encode()}
	first.expect(5, []string{"does not say that it knows", now.ID()}, append([]string{"root-key", "use"}, file(first)...)...)
	text, err := os.ReadFile(first.keys["root_key_file"])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range nodes {
		s.write("root.key", string(text), 0o600)
		restart(s)
	}
	for i, s := range nodes {
		s.expect(0, []string{now.ID(), "is first"}, append([]string{"root-key", "use"}, file(s)...)...)
		if i == 0 {
			s.expect(5, []string{"restart it first"}, append([]string{"root-key", "drop"}, file(s)...)...)
		}
		restart(s)
		s.expect(0, []string{"already"}, append([]string{"root-key", "use"}, file(s)...)...) // twice is once
		if i == 0 {
			s.expect(5, []string{"still needed"}, append([]string{"root-key", "drop"}, file(s)...)...)
		}
	}
	awaitRootKey(t, first, "everything under the new key", func(k shownRootKey) bool { return k.Droppable && k.InUse == now.ID() })
	for _, s := range nodes {
		s.expect(0, []string{now.ID(), "alone now"}, append([]string{"root-key", "drop"}, file(s)...)...)
		restart(s)
	}
	awaitRootKey(t, first, "nothing under the former key", func(k shownRootKey) bool {
		for _, i := range k.Items {
			if !slices.Equal(i.Keys, []string{now.ID()}) {
				return false
			}
		}
		return !k.Droppable && strings.Contains(k.Step, "one root key")
	})
	cancel()
	wg.Wait()
	for _, f := range slices.Concat(b.failures(), u.failures()) {
		t.Error(f)
	}
	t.Logf("%d requests through the balancer, %d sign-ins, %d refreshes", b.served.Load(), u.signins.Load(), u.refreshes.Load())
	if u.signins.Load() == 0 {
		t.Error("nobody signed in: this proves nothing")
	}
	for _, s := range nodes {
		id, err := os.ReadFile(s.data + "/node.json")
		if err != nil || !strings.Contains(string(id), now.ID()) || strings.Contains(string(id), former.ID()) {
			t.Errorf("node.json: %v\n%s", err, id)
		}
	}
	n := newcomer(t, "node-4", first, first.told("cluster", "token"))
	n.start()
	if got := inFile(t, n).IDs(); !slices.Equal(got, []string{now.ID()}) {
		t.Errorf("the new node was given root keys %v", got)
	}
	last := nodes[2]
	last.stop()
	last.write("root.key", former.Encode()+"\n", 0o600)
	last.refuses("made under root key "+now.ID(), former.ID())
	for _, s := range nodes {
		for _, secret := range secrets {
			if strings.Contains(s.stderr.String(), secret) {
				t.Error("a root key was printed")
			}
		}
	}
}

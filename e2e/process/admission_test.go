package process

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// told runs an operator's command against the node, which must succeed, and returns what it printed.
func (s *server) told(args ...string) string {
	s.t.Helper()
	out, said, code := s.quis(args...)
	if code != 0 {
		s.t.Fatalf("quis %s: exit code %d\n%s", strings.Join(args, " "), code, said)
	}
	return out
}

// newcomer prepares a node that knows an address and a token, and no root key.
func newcomer(t *testing.T, id string, of *server, token string) *server {
	t.Helper()
	s := newServer(t)
	s.bootstrap = false
	if err := os.Remove(s.keys["root_key_file"]); err != nil {
		t.Fatal(err)
	}
	s.keys["node_id"] = id
	s.keys["cluster.join"] = of.keys["cluster.listen"]
	s.keys["cluster.join_token_file"] = s.write("join.token", token, 0o600)
	return s
}

// Two nodes join by nothing but a token each; then the authority that certifies all three
// is replaced while people sign in at every one of them. Nobody notices.
func TestJoinByTokenAndRotateTheAuthority(t *testing.T) {
	t.Parallel()
	first := newServer(t)
	first.start()
	house := []*server{first}
	for _, id := range []string{"two", "three"} {
		token := first.told("cluster", "token")
		n := newcomer(t, id, first, token)
		n.start()
		info, err := os.Stat(n.keys["root_key_file"])
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the root key that was handed over: %v, %v", info, err)
		}
		house = append(house, n)
		if id == "two" {
			again := newcomer(t, "four", first, token)
			again.refuses("was used at", "by node two", "quis cluster token")
		}
		for _, s := range house {
			defer func() {
				if strings.Contains(s.stderr.String(), strings.TrimSpace(token)) {
					t.Error("a join token was printed")
				}
			}()
		}
	}
	before := authorityOf(t, first)
	var done atomic.Bool
	var people sync.WaitGroup
	var signIns atomic.Int64
	for _, s := range house {
		people.Go(func() {
			for !done.Load() {
				if err := s.comeAndGo(); err != nil {
					t.Errorf("at node %s: %v", s.keys["node_id"], err)
					return
				}
				signIns.Add(1)
			}
		})
	}
	house[2].told("cluster", "ca", "rotate", "--wait")
	done.Store(true)
	people.Wait()
	after := authorityOf(t, house[1])
	if after.Phase != "stable" || after.Fingerprint == before.Fingerprint || len(after.Members) != 3 {
		t.Errorf("before %+v, after %+v", before, after)
	}
	t.Logf("%d people signed in meanwhile", signIns.Load())
	if signIns.Load() == 0 {
		t.Error("nobody signed in meanwhile")
	}
	for _, s := range house { // what was saved is enough to come back, and the token is not needed any more
		if f := s.keys["cluster.join_token_file"]; f != "" {
			if err := os.Remove(f); err != nil {
				t.Error(err)
			}
		}
		s.stop()
		s.start()
		if err := s.comeAndGo(); err != nil {
			t.Error(err)
		}
	}
	var tokens []struct{ State string }
	if err := json.Unmarshal([]byte(first.told("cluster", "token", "list", "-o", "json")), &tokens); err != nil || len(tokens) != 2 || tokens[0].State != "used" {
		t.Errorf("tokens: %+v, %v", tokens, err)
	}
	for _, s := range house[1:] {
		s.stop()
	}
	first.kill() // alone it has no majority to hand over to
	first.clean()
}

// comeAndGo signs the tester in at the node and refreshes the tokens.
func (s *server) comeAndGo() error {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	a, err := tester().Authorize(ctx, s.public(), web)
	if err != nil {
		return fmt.Errorf("sign in: %w", err)
	}
	tokens, err := web.Exchange(ctx, s.public(), a)
	if err != nil {
		return fmt.Errorf("exchange: %w", err)
	}
	_, err = web.Refresh(ctx, s.public(), tokens.RefreshToken)
	return err
}

type shownAuthority struct {
	Phase, Fingerprint string
	Members            []struct{ ID, CA string }
}

func authorityOf(t *testing.T, s *server) (a shownAuthority) {
	t.Helper()
	if err := json.Unmarshal([]byte(s.told("cluster", "ca", "show", "-o", "json")), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// A process that is killed between the use of its token and its answer can ask again; a
// token that is cut short, and one for another cluster, are told apart.
func TestTokensThatDoNotFit(t *testing.T) {
	t.Parallel()
	one, other := newServer(t), newServer(t)
	one.start()
	other.start()
	token := strings.TrimSpace(one.told("cluster", "token"))
	newcomer(t, "two", one, token[:60]).refuses("join_token_file", "cut short")
	newcomer(t, "two", other, token).refuses("another cluster", "Nothing was told")
	bare := newcomer(t, "two", one, strings.TrimSpace(one.told("cluster", "token", "--without-root-key")))
	bare.refuses("without the root key", "root_key_file")
	bare.write("root.key", rootKey+"\n", 0o600)
	bare.start()
	if _, err := os.Stat(filepath.Join(bare.data, "join.pem")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the key of the request was left: %v", err)
	}
	bare.stop()
	other.stop()
	one.kill()
}

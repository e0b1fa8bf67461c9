package process

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

const otherKey = "00112233445566778899aabbccddeeff102132435465768798a9bacbdcedfe0f"

// What a node is given that it cannot use ends it before it has touched anything,
// with one line that says what, where and what to do.

func TestRefusesRootKey(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(s *server)
		words []string
	}{
		"wrong":          {func(s *server) { s.write("root.key", otherKey, 0o600) }, []string{"root key", "was made under root key", "give it the right one"}},
		"missing":        {func(s *server) { os.Remove(s.keys["root_key_file"]) }, []string{"root.key", "no such file", "quis init"}},
		"not configured": {func(s *server) { delete(s.keys, "root_key_file") }, []string{"root_key_file", "no root key", "quis init"}},
		"unreadable": {func(s *server) {
			if path := s.keys["root_key_file"]; os.Getuid() == 0 { // who may read every file, but no directory
				os.Remove(path)
				os.Mkdir(path, 0o700)
			} else {
				os.Chmod(path, 0)
			}
		}, []string{"root.key"}},
		"open to all": {func(s *server) { os.Chmod(s.keys["root_key_file"], 0o644) }, []string{"root.key", "0644", "chmod 600"}},
		"cut short":   {func(s *server) { s.write("root.key", rootKey[:40], 0o600) }, []string{"root.key", "20 bytes", "must have 32"}},
		"empty":       {func(s *server) { s.write("root.key", "\n", 0o600) }, []string{"root.key", "empty"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, false)
			path := s.keys["root_key_file"]
			c.spoil(s)
			s.refuses(c.words...)
			os.RemoveAll(path)
			s.keys["root_key_file"] = s.write("root.key", rootKey, 0o600)
			s.holds(tokens)
		})
	}
}

func TestRefusesPortInUse(t *testing.T) {
	t.Parallel()
	for _, key := range []string{"listen.public", "listen.operations", "cluster.listen", "cluster.gossip"} {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, false)
			taken, err := net.Listen("tcp", s.keys[key])
			if err != nil {
				t.Fatal(err)
			}
			defer taken.Close()
			s.refuses(key, s.keys[key], "in use by another process", "choose another port")
			taken.Close()
			s.holds(tokens)
		})
	}
	t.Run("cluster.gossip, UDP", func(t *testing.T) {
		t.Parallel()
		s, tokens := seeded(t, false)
		taken, err := net.ListenPacket("udp", s.keys["cluster.gossip"])
		if err != nil {
			t.Fatal(err)
		}
		defer taken.Close()
		s.refuses("cluster.gossip", s.keys["cluster.gossip"], "in use by another process", "choose another port")
		taken.Close()
		s.holds(tokens)
	})
}

func TestRefusesDataDirectoryInUse(t *testing.T) {
	t.Parallel()
	first, tokens := seeded(t, false)
	first.start()
	second := newServer(t)
	second.data = first.data
	second.refuses(first.data, "in use by process "+strconv.Itoa(first.cmd.Process.Pid), "data_dir")
	pid, err := os.ReadFile(filepath.Join(first.data, "quis.pid"))
	if err != nil || strings.TrimSpace(string(pid)) != strconv.Itoa(first.cmd.Process.Pid) {
		t.Errorf("quis.pid is %q, %v", pid, err)
	}
	first.signIn() // undisturbed
	first.stop()
	first.holds(tokens)
}

func TestRefusesAnotherCluster(t *testing.T) {
	t.Parallel()
	other := newServer(t)
	other.keys["node_id"] = "two"
	other.start()
	s, tokens := seeded(t, false)
	s.keys["cluster.join"] = other.keys["cluster.listen"]
	s.refuses(s.data, "belongs to cluster", "node two at "+other.keys["cluster.listen"], "cluster.join")

	t.Run("with another root key", func(t *testing.T) {
		s.write("root.key", otherKey, 0o600)
		fresh := newServer(t)
		fresh.keys["cluster.join"] = other.keys["cluster.listen"]
		fresh.keys["cluster.bootstrap_expect"] = "0"
		fresh.write("root.key", otherKey, 0o600)
		fresh.refuses("root key", other.keys["cluster.listen"], "same root key")
		s.write("root.key", rootKey, 0o600)
	})
	t.Run("with another name", func(t *testing.T) {
		s.keys["node_id"] = "three"
		delete(s.keys, "cluster.join")
		s.refuses(s.data, "belongs to node one", "three")
		s.keys["node_id"] = "one"
	})
	s.holds(tokens)
	other.signIn() // undisturbed
	other.stop()
}

func TestRefusesConfiguration(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		spoil func(s *server)
		words []string
	}{
		"unknown key":      {func(s *server) { s.keys["cluster.heartbeet"] = "1s" }, []string{"quis.yaml:5:5: ", `unknown key "cluster.heartbeet"`, `did you mean "heartbeat"?`}},
		"unknown section":  {func(s *server) { s.keys["clutser.listen"] = ":1" }, []string{"quis.yaml:", `unknown key "clutser"`, `did you mean "cluster"?`}},
		"no file":          {func(s *server) { s.keys["bootstrap_file"] = "nowhere.yaml"; s.bootstrap = false }, []string{"nowhere.yaml", "no such file"}},
		"no number":        {func(s *server) { s.keys["cluster.bootstrap_expect"] = "three" }, []string{"quis.yaml:", "cluster.bootstrap_expect", "not a whole number"}},
		"no URL":           {func(s *server) { s.keys["public_url"] = "http://id.example.com" }, []string{"public_url", "must be https"}},
		"no port":          {func(s *server) { s.keys["listen.public"] = "127.0.0.1" }, []string{"listen.public", "is not an address such as"}},
		"not this host":    {func(s *server) { s.keys["cluster.listen"] = "192.0.2.1:12000" }, []string{"cluster.listen", "192.0.2.1:12000", "not an address of this host"}},
		"not a directory":  {func(s *server) { s.data = s.write("file", "", 0o600) }, []string{"file", "not a directory"}},
		"half certificate": {func(s *server) { s.keys["tls.cert_file"] = "cert.pem" }, []string{"tls", "belong together"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			c.spoil(s)
			s.refuses(c.words...)
			if _, err := os.Stat(filepath.Join(s.data, "node.json")); err == nil {
				t.Error("a cluster was founded")
			}
		})
	}
}

func TestRefusesBootstrap(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file  string
		words []string
	}{
		"unknown key":   {"usrs: []\n", []string{"bootstrap.yaml:1", "usrs", "users"}},
		"unknown field": {"users:\n  - {username: a, passwort: correct horse battery}\n", []string{"bootstrap.yaml:2", "passwort", "password"}},
		"no YAML":       {"users: [{username: a\n", []string{"bootstrap.yaml:"}},
		"weak secret":   {"applications:\n  - {name: a, type: oidc, client_id: a, client_secret: short, redirect_uris: [\"https://a.example/cb\"]}\n", []string{"bootstrap.yaml:2", "client_secret", "32"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.bootstrap = false
			s.keys["bootstrap_file"] = s.write("bootstrap.yaml", c.file, 0o600)
			s.refuses(c.words...)
			s.bootstrap = true
			delete(s.keys, "bootstrap_file")
			s.start()
			s.signIn()
			s.stop()
		})
	}
}

// TestBootstrapThatCannotBeApplied: whether a name of the file is there already only
// the cluster can say, so the node runs, is not ready, and says what is missing.
func TestBootstrapThatCannotBeApplied(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.bootstrap = false
	s.keys["bootstrap_file"] = s.write("bootstrap.yaml", "tokens:\n  - {user: ghost, token: \"quis_pat_0123456789abcdef0123456789abcdef\"}\n", 0o600)
	s.run()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	want := "bootstrap.yaml:2: "
	for body := ""; !strings.Contains(body, want) || !strings.Contains(body, "ghost"); {
		select {
		case <-ctx.Done():
			t.Fatalf("/readyz does not say %q: %s", want, body)
		case <-s.done:
			t.Fatalf("the node ended:\n%s", s.stderr.String())
		case <-time.After(20 * time.Millisecond):
		}
		if resp, err := http.Get(s.operations() + "/readyz?verbose"); err == nil {
			b, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if body = string(b); resp.StatusCode == http.StatusOK {
				t.Fatalf("ready without its bootstrap file: %s", body)
			}
		}
	}
	s.stop()
	delete(s.keys, "bootstrap_file")
	s.bootstrap = true
	s.start()
	s.signIn()
	s.stop()
}

// TestRefusesMixedDirectories: files of two nodes put together are no node.
func TestRefusesMixedDirectories(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"store", "raft.db", "node.json"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, tokens := seeded(t, false)
			other, _ := seeded(t, true) // of another cluster
			other.start()
			other.signIn()
			other.stop()
			own, kept := filepath.Join(s.data, name), filepath.Join(s.dir, "kept")
			if err := os.Rename(own, kept); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(other.data, name), own); err != nil {
				t.Fatal(err)
			}
			s.refuses(s.data, "belongs to", "cluster", "bring back the files of one node")
			if err := os.RemoveAll(own); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(kept, own); err != nil {
				t.Fatal(err)
			}
			s.holds(tokens)
		})
	}
}

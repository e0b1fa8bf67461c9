package corpus

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/hashicorp/raft"
	raftboltdb "github.com/hashicorp/raft-boltdb/v2"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/e2e/testbed"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/keys/seal"
)

var record = flag.String("record", "", "write the corpus of this release into this directory")

const rootKey = "8a1c6f1d2b7e4f00c0ffee00d15ea5e0a55a3c3c0ff1ce00feedface00112233"

const bootstrap = `
groups: [{name: eng}]
users:
  - {username: ada, email: ada@example.com, name: Ada, password: "correct horse battery", groups: [eng], admin: true}
  - {username: bob, email: bob@example.com, name: Bob, password: "correct horse battery"}
applications:
  - {name: web, type: oidc, client_id: web, client_secret: "0123456789abcdef0123456789abcdef-web", redirect_uris: ["http://localhost:9999/cb"],
     grant_types: [authorization_code, refresh_token], allowed_scopes: [openid, profile, email, groups, offline_access]}
`

var web = testbed.Application{ClientID: "web", Secret: "0123456789abcdef0123456789abcdef-web",
	RedirectURI: "http://localhost:9999/cb", Scope: "openid profile email groups offline_access"}

// A golden is what the release itself came to.
type golden struct {
	Version       string
	Users, Events int
	Stream, Final mark
}

type mark struct {
	Index, Term uint64
	Chain, Hash string // hex
}

func markOf(t *testing.T, db *fsm.DB) mark {
	t.Helper()
	p := db.Position()
	index, hash, err := db.StateHash()
	if err != nil || index != p.Index {
		t.Fatalf("state hash at %d, position %d: %v", index, p.Index, err)
	}
	return mark{p.Index, p.Term, hex.EncodeToString(p.Chain[:]), hex.EncodeToString(hash[:])}
}

// TestEarlierReleasesAreRead replays every corpus: the log from its beginning, in one
// piece and entry by entry, and from the stream on. The result is what it was, and the
// rooms can read it.
func TestEarlierReleasesAreRead(t *testing.T) {
	t.Parallel()
	dirs, err := filepath.Glob("testdata/*")
	if err != nil || len(dirs) == 0 {
		t.Fatalf("no corpus: %v", err)
	}
	for _, dir := range dirs {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			t.Parallel()
			var want golden
			read(t, filepath.Join(dir, "golden.json"), func(r io.Reader) error { return json.NewDecoder(r).Decode(&want) })
			var entries []fsm.Entry
			unzip(t, filepath.Join(dir, "log.gz"), func(r io.Reader) error { return gob.NewDecoder(r).Decode(&entries) })

			whole, single, rest := open(t), open(t), open(t)
			apply(t, whole, entries)
			for _, e := range entries {
				apply(t, single, []fsm.Entry{e})
			}
			unzip(t, filepath.Join(dir, "stream.gz"), rest.Restore)
			if got := markOf(t, rest); got != want.Stream {
				t.Errorf("the stream restores to %+v, want %+v", got, want.Stream)
			}
			apply(t, rest, entries) // those that the stream holds are passed over
			for how, db := range map[string]*fsm.DB{"in one piece": whole, "entry by entry": single, "from the stream": rest} {
				if got := markOf(t, db); got != want.Final {
					t.Errorf("replayed %s: %+v, want %+v", how, got, want.Final)
				}
				understood(t, db, &want)
			}
		})
	}
}

// understood has the rooms read what is there.
func understood(t *testing.T, db *fsm.DB, want *golden) {
	t.Helper()
	root, err := seal.ParseRootKey(rootKey)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seal.OpenRing(t.Context(), db, root); err != nil {
		t.Errorf("the ring of sealing keys: %v", err)
	}
	head, err := event.Verify(t.Context(), db)
	if err != nil || int(head.Count) != want.Events {
		t.Errorf("%d events, want %d: %v", head.Count, want.Events, err)
	}
	err = db.View(t.Context(), func(tx *fsm.Tx) error {
		users, _, err := directory.ListUsers(tx, identity.DefaultTenant, directory.UserQuery{})
		if len(users) != want.Users {
			t.Errorf("%d users, want %d", len(users), want.Users)
		}
		_, notFound := directory.UserByLogin(tx, identity.DefaultTenant, "ada@example.com")
		return errors.Join(err, notFound)
	})
	if err != nil {
		t.Errorf("users: %v", err)
	}
}

func open(t *testing.T) *fsm.DB {
	t.Helper()
	db, err := fsm.Open(fsm.Config{Dir: "/store", FS: vfs.NewMem(), Schema: daemon.Tables()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func apply(t *testing.T, db *fsm.DB, entries []fsm.Entry) {
	t.Helper()
	if _, err := db.Apply(entries); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string, from func(io.Reader) error) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := from(f); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

func unzip(t *testing.T, path string, from func(io.Reader) error) {
	t.Helper()
	read(t, path, func(r io.Reader) error {
		z, err := gzip.NewReader(r)
		if err != nil {
			return err
		}
		return from(z)
	})
}

// TestRecord writes the corpus of this release, if it is told where to.
func TestRecord(t *testing.T) {
	dir := *record
	if dir == "" {
		return // a corpus is written once, by the release that it is of
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	n := node(t, data)
	at := "http://" + n.PublicAddr().String()
	refresh := ""
	for i := range 6 {
		a, err := testbed.NewPerson([]string{"ada", "bob"}[i%2], "correct horse battery").Authorize(t.Context(), at, web)
		if err != nil {
			t.Fatal(err)
		}
		tokens, err := web.Exchange(t.Context(), at, a)
		if err != nil {
			t.Fatal(err)
		}
		for range i {
			if tokens, err = web.Refresh(t.Context(), at, tokens.RefreshToken); err != nil {
				t.Fatal(err)
			}
		}
		if i > 3 { // a failure is recorded, too
			if _, err := testbed.NewPerson("bob", "wrong").Authorize(t.Context(), at, web); err == nil {
				t.Fatal("a wrong password signed in")
			}
		}
		refresh = tokens.RefreshToken
		if i == 3 {
			writeStream(t, n.DB(), filepath.Join(dir, "stream.gz"))
		}
	}
	if refresh == "" {
		t.Fatal("nothing was refreshed")
	}
	stop(t, n)
	entries := logOf(t, filepath.Join(data, "raft.db"))
	zip(t, filepath.Join(dir, "log.gz"), func(w io.Writer) error { return gob.NewEncoder(w).Encode(entries) })

	// What the store itself holds after the stop, by this release's own hand.
	db, err := fsm.Open(fsm.Config{Dir: filepath.Join(data, "store"), Schema: daemon.Tables()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	head, err := event.Verify(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	half := open(t)
	unzip(t, filepath.Join(dir, "stream.gz"), half.Restore)
	out, err := json.MarshalIndent(golden{Version: daemon.Version, Users: 2, Events: int(head.Count), Stream: markOf(t, half), Final: markOf(t, db)}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "golden.json"), append(out, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func node(t *testing.T, data string) *daemon.Node {
	t.Helper()
	root, err := seal.ParseRootKey(rootKey)
	if err != nil {
		t.Fatal(err)
	}
	c := daemon.Default()
	c.NodeID, c.DataDir, c.PublicURL, c.RootKey = "one", data, testbed.Issuer, root
	c.Listen = daemon.Listen{Public: "127.0.0.1:0", Operations: "127.0.0.1:0"}
	c.Cluster.Listen, c.Cluster.Gossip = "127.0.0.1:0", "127.0.0.1:0"
	c.Drain, c.Logger = 0, slog.New(slog.DiscardHandler)
	c.BootstrapFile = filepath.Join(t.TempDir(), "bootstrap.yaml")
	if err := os.WriteFile(c.BootstrapFile, []byte(bootstrap), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := daemon.Start(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n.Ready(ctx) != nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(n.Ready(t.Context()))
		}
	}
	return n
}

func stop(t *testing.T, n *daemon.Node) {
	t.Helper()
	if err := n.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func writeStream(t *testing.T, db *fsm.DB, path string) {
	t.Helper()
	s, err := db.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	zip(t, path, func(w io.Writer) error { _, err := s.WriteTo(w); return err })
}

func zip(t *testing.T, path string, write func(io.Writer) error) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := errors.Join(write(z), z.Close()); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// logOf reads what Raft would give to the store.
func logOf(t *testing.T, path string) []fsm.Entry {
	t.Helper()
	logs, err := raftboltdb.NewBoltStore(path)
	if err != nil {
		t.Fatal(err)
	}
	defer logs.Close()
	first, err := logs.FirstIndex()
	if err != nil || first != 1 {
		t.Fatalf("the log begins at %d: %v", first, err)
	}
	last, err := logs.LastIndex()
	if err != nil {
		t.Fatal(err)
	}
	var out []fsm.Entry
	for i := first; i <= last; i++ {
		var l raft.Log
		if err := logs.GetLog(i, &l); err != nil {
			t.Fatal(err)
		}
		switch l.Type {
		case raft.LogCommand:
			out = append(out, fsm.Entry{Index: l.Index, Term: l.Term, Data: slices.Clone(l.Data)})
		case raft.LogConfiguration:
			out = append(out, fsm.Entry{Index: l.Index, Term: l.Term, Config: slices.Clone(l.Data)})
		}
	}
	return out
}

package backup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/fsm/fsmtest"
	"github.com/quis-idp/quis/keys/seal"
)

var zero time.Time

// keeper returns a keeper of a one-node cluster, and a way to let time pass in it.
func keeper(t *testing.T) (*backup.Keeper, *fsmtest.Cluster) {
	t.Helper()
	c := fsmtest.NewCluster(t, 1, append(append([]fsm.Definition{}, schema...), backup.Tables...)...)
	root := seal.GenerateRootKey()
	update(t, c.DB[0], func(tx *fsm.Tx) error { return seal.Init(tx, root) })
	return &backup.Keeper{
		DB: c.DB[0], Root: root, Dir: t.TempDir(), NodeID: "n1", Cluster: "c1", Version: "test", Logger: slog.New(slog.DiscardHandler),
	}, c
}

func schedule(t *testing.T, k *backup.Keeper, s backup.Schedule) {
	t.Helper()
	update(t, k.DB, func(tx *fsm.Tx) error { return k.SetSchedule(tx, s) })
}

// ran runs the duty and returns the latest run.
func ran(t *testing.T, k *backup.Keeper) *backup.Run {
	t.Helper()
	if err := k.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	var all []*backup.Run
	view(t, k.DB, func(tx *fsm.Tx) (err error) {
		all, err = backup.Runs(tx)
		return err
	})
	if len(all) == 0 {
		t.Fatal("no run")
	}
	return all[0]
}

func TestDirectoryKeepsTheNewestAndForeignFiles(t *testing.T) {
	t.Parallel()
	k, c := keeper(t)
	if err := k.RunDue(t.Context()); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	foreign := filepath.Join(dir, "quis-c2-20200101T000000.000Z.backup")
	if err := os.WriteFile(foreign, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	schedule(t, k, backup.Schedule{Every: time.Hour, KeepLast: 2, Target: "file://" + dir})
	var names []string
	for range 4 {
		r := ran(t, k)
		if !r.Good() || r.Bytes == 0 || r.SHA256 == "" {
			t.Fatalf("run %+v", r)
		}
		if again := ran(t, k); again.Started != r.Started {
			t.Error("ran again before it was due")
		}
		names = append(names, r.Name)
		c.Advance(time.Hour)
		update(t, k.DB, func(tx *fsm.Tx) error { return notes.Put(tx, &note{ID: r.Name}) }) // brings the new time into the state
	}
	for i, n := range append(names, filepath.Base(foreign)) {
		_, err := os.Stat(filepath.Join(dir, n))
		if gone := errors.Is(err, os.ErrNotExist); gone != (i < 2) {
			t.Errorf("%d %s: %v", i, n, err)
		}
	}
	f, err := os.Open(filepath.Join(dir, names[3]))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := backup.Verify(f, backup.Keys{Root: k.Root}, nil); err != nil {
		t.Error(err)
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(k)
	if got, err := registry.Gather(); err != nil || len(got) != 4 {
		t.Errorf("metrics: %v, %v", got, err)
	}
}

func TestBucketTakesBackupsAndFailuresDeleteNothing(t *testing.T) {
	t.Parallel()
	k, c := keeper(t)
	s3 := newBucketServer(t)
	want := backup.Schedule{Every: time.Hour, KeepLast: 1, Target: "s3://vault/house", Endpoint: s3.URL, AccessKey: "AKID", Secret: "very secret"}
	schedule(t, k, want)
	first := ran(t, k)
	if !first.Good() {
		t.Fatalf("run %+v", first)
	}
	pass := func() {
		c.Advance(time.Hour)
		update(t, k.DB, func(tx *fsm.Tx) error { return notes.Put(tx, &note{ID: "tick"}) })
	}
	for what, set := range map[string]func(){
		"every write fails": func() {
			s3.fail = func(r *http.Request) int {
				if r.Method == http.MethodPut {
					return http.StatusForbidden
				}
				return 0
			}
		},
		"the archive comes back changed": func() { s3.corrupt = true },
		"it cannot be listed": func() {
			s3.fail = func(r *http.Request) int {
				if r.URL.Query().Has("list-type") {
					return http.StatusForbidden
				}
				return 0
			}
		},
	} {
		pass()
		s3.mu.Lock()
		set()
		s3.mu.Unlock()
		if r := ran(t, k); r.Good() || r.Error == "" || strings.Contains(r.Error, "very secret") {
			t.Errorf("%s: run %+v", what, r)
		}
		s3.mu.Lock()
		s3.fail, s3.corrupt = nil, false
		s3.mu.Unlock()
		if !strings.Contains(strings.Join(s3.names(), " "), first.Name) {
			t.Fatalf("%s: the last good backup is gone: %v", what, s3.names())
		}
	}
	pass()
	if r := ran(t, k); !r.Good() {
		t.Fatalf("run %+v", r)
	} else if got := s3.names(); len(got) != 1 || got[0] != "house/"+r.Name {
		t.Errorf("left %v, want only %s", got, r.Name)
	}

	// The secret is never told, survives a change beside it, and goes nowhere else.
	view(t, k.DB, func(tx *fsm.Tx) error {
		s, err := backup.LoadSchedule(tx)
		b, _ := json.Marshal(s)
		if bytes.Contains(b, []byte("very secret")) || len(s.Sealed) == 0 {
			t.Errorf("schedule %s", b)
		}
		return err
	})
	want.Secret, want.KeepLast = "", 5
	schedule(t, k, want)
	want.Endpoint = "http://elsewhere.example"
	err := k.DB.Update(t.Context(), func(tx *fsm.Tx) error { return k.SetSchedule(tx, want) })
	if !errors.Is(err, backup.ErrSchedule) {
		t.Errorf("the secret followed to another endpoint: %v", err)
	}
}

// TestDeposedLeadersRunIsAbandoned: a leader falls while it writes. What it had sent is
// no object, its run has no end, and the next leader says so and makes another.
func TestDeposedLeadersRunIsAbandoned(t *testing.T) {
	t.Parallel()
	k, _ := keeper(t)
	s3 := newBucketServer(t)
	schedule(t, k, backup.Schedule{Every: time.Hour, Target: "s3://vault", Endpoint: s3.URL, AccessKey: "AKID", Secret: "very secret"})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	s3.mu.Lock()
	s3.fail = func(r *http.Request) int {
		cancel()
		return http.StatusServiceUnavailable
	}
	s3.mu.Unlock()
	if err := k.RunDue(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v after the end of the leadership", err)
	}
	if got := s3.names(); len(got) != 0 {
		t.Errorf("left %v", got)
	}
	s3.mu.Lock()
	s3.fail = nil
	s3.mu.Unlock()
	update(t, k.DB, backup.Want)
	if r := ran(t, k); !r.Good() {
		t.Errorf("run %+v", r)
	}
	view(t, k.DB, func(tx *fsm.Tx) error {
		all, err := backup.Runs(tx)
		if len(all) != 2 || !strings.Contains(all[1].Error, "abandoned") {
			t.Errorf("runs %+v", all)
		}
		return err
	})
}

func TestScheduleIsChecked(t *testing.T) {
	t.Parallel()
	k, _ := keeper(t)
	for what, s := range map[string]backup.Schedule{
		"too often":   {Every: time.Second, Target: "file:///b"},
		"no target":   {Every: time.Hour},
		"relative":    {Every: time.Hour, Target: "file://b"},
		"no secret":   {Every: time.Hour, Target: "s3://b", Endpoint: "https://s3.example", AccessKey: "k"},
		"no endpoint": {Every: time.Hour, Target: "s3://b", AccessKey: "k", Secret: "s"},
		"recipient":   {Every: time.Hour, Target: "file:///b", Recipients: []string{"age1nothing"}},
	} {
		err := k.DB.Update(t.Context(), func(tx *fsm.Tx) error { return k.SetSchedule(tx, s) })
		if !errors.Is(err, backup.ErrSchedule) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

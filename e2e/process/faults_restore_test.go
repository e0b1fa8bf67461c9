package process

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/e2e/history"
)

// TestKillDuringRestore kills nodes while a backup is put in the place of the cluster's
// state, in every second round the one that leads at that moment: afterwards all nodes
// have the one state or all the other (their log chains and rows are compared), the
// promised one if the restore was acknowledged. What is granted from the moment on that
// all are ready is there to stay.
func TestKillDuringRestore(t *testing.T) {
	rounds := number(t, "QUIS_ROUNDS", 4)
	seed := uint64(number(t, "QUIS_SEED", int(rand.Uint32())))
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	tr := newTrio(t, nil, nil)
	l := &load{tr: tr, rec: history.NewRecorder(), prefix: "restore-"}
	l.give(t, "restore-kept")
	var archive bytes.Buffer
	if _, err := tr.admins[0].CreateBackup(t.Context(), &archive, nil, nil); err != nil {
		t.Fatal(err)
	}
	undone := 0
	for round := range rounds {
		later := fmt.Sprintf("restore-later-%d", round)
		l.give(t, later)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		done := make(chan error, 1)
		via, hit := 1+rng.IntN(3), some(tr, rng, 1)[0]
		go func() {
			_, err := tr.admins[via-1].RestoreBackup(ctx, bytes.NewReader(archive.Bytes()), false)
			done <- err
		}()
		after := time.Duration(rng.IntN(300)) * time.Millisecond
		pause(ctx, after)
		if round%2 == 0 {
			hit = tr.leaderOrAny(ctx)
		}
		tr.mark("round %d: node %d is killed %v after a restore began at node %d", round, hit, after, via)
		tr.signal(hit, syscall.SIGKILL)
		<-tr.node(hit).done
		if hit != via { // else the request has ended with the node
			pause(ctx, time.Duration(rng.IntN(300))*time.Millisecond)
		}
		tr.launch(hit)
		err := <-done
		cancel()
		if err := tr.healthy(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		people := begin(t.Context(), tr, rng)
		pause(t.Context(), time.Second)
		people.end()
		for _, b := range people.audit(t.Context()) {
			t.Errorf("round %d: %s", round, b)
		}
		if l.sameEverywhere(t, later) {
			undone++
			if err == nil {
				t.Errorf("round %d: the restore was acknowledged, and %s is still there", round, later)
			}
		}
		t.Logf("round %d: node %d killed %v after a restore began at node %d: %v", round, hit, after, via, err)
		if t.Failed() {
			return
		}
	}
	t.Logf("%d of %d restores without effect", undone, rounds)
	l.give(t, "restore-last")
	if !l.sameEverywhere(t, "restore-last") {
		t.Error("what was written after the restores is nowhere")
	}
	tr.close()
}

// give creates a user.
func (l *load) give(t *testing.T, name string) {
	t.Helper()
	if _, err := l.tr.admins[0].Users.Create(t.Context(), client.UserFields{Username: &name}); err != nil {
		t.Fatal(err)
	}
}

// sameEverywhere compares the nodes and returns whether they have that user.
func (l *load) sameEverywhere(t *testing.T, name string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var nodes []history.Node
	for i := range l.tr.servers {
		nodes = append(nodes, l.observed(ctx, i+1))
	}
	bad, _ := history.Audit(ctx, history.NewRecorder(), nodes)
	for _, b := range bad {
		t.Error(b)
	}
	have := 0
	for i := range l.tr.servers {
		users, err := l.users(ctx, i+1)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := users["restore-kept"]; !ok {
			t.Errorf("node %d has lost what is in the backup, too", i+1)
		}
		if _, ok := users[name]; ok {
			have++
		}
	}
	if have != 0 && have != len(l.tr.servers) {
		t.Errorf("%d of the nodes have %s", have, name)
	}
	return have > 0
}

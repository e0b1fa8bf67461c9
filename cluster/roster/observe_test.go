package roster

import (
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// TestWipedMemberStartsAgain: a member that was removed and taken in again under its name
// is not healthy for as long as the one before it was. It used to be given a vote at
// once, with an empty log, when both happened between two looks.
func TestWipedMemberStartsAgain(t *testing.T) {
	t.Parallel()
	r := New(Config{NodeID: "one"})
	long := time.Now().Add(-time.Hour)
	former := r.meet(raft.Server{ID: "two", Suffrage: raft.Voter})
	former.healthy, former.since, former.at, former.Applied = true, long, time.Now(), 1000
	if again := r.meet(raft.Server{ID: "two", Suffrage: raft.Voter}); again != former {
		t.Error("a voter that goes on is somebody else")
	}
	s := r.meet(raft.Server{ID: "two", Suffrage: raft.Nonvoter})
	if s.healthy || !s.at.IsZero() || s.Applied != 0 || !s.since.After(long) {
		t.Errorf("what was seen of the former member counts for the new one: %+v", s)
	}
	s.healthy = true
	if again := r.meet(raft.Server{ID: "two", Suffrage: raft.Nonvoter}); again != s {
		t.Error("a member that goes on without a vote is somebody else")
	}
}

// TestGossipDoesNotKeepTheDeadAlive: gossip notices a killed node after seconds; a status must
// not call alive meanwhile who does not answer.
func TestGossipDoesNotKeepTheDeadAlive(t *testing.T) {
	t.Parallel()
	r := New(Config{NodeID: "one", Alive: func(string) bool { return true }, Now: time.Now})
	two := raft.Server{ID: "two", Suffrage: raft.Voter}
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.meet(two)
	if m := r.member(two, "one"); !m.Alive || m.Healthy {
		t.Errorf("nobody has asked it yet, and gossip sees it: %+v", m)
	}
	for _, silence := range []struct {
		since time.Duration
		err   error
		alive bool
		says  string
	}{
		{time.Second, nil, true, ""},
		{400 * time.Millisecond, errors.New("connection refused"), false, "has not answered for 400ms"},
		{5 * time.Second, errors.New("connection refused"), false, "has not answered for 5s"},
		{5 * time.Second, nil, false, "has not answered for 5s"},
	} {
		s.at, s.err = time.Now().Add(-silence.since), silence.err
		if m := r.member(two, "one"); m.Alive != silence.alive || m.Reason != silence.says {
			t.Errorf("silent for %v, %v: alive %v, %q", silence.since, silence.err, m.Alive, m.Reason)
		}
	}
}

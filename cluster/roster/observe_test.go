package roster

import (
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

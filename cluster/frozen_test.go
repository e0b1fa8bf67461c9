package cluster

import (
	"context"
	"errors"
	"net"
	"reflect"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/fsm"
)

// freeze makes every write to the log of a node wait until the function it returns is called.
func (r *room) freeze(t *testing.T) (thaw func()) {
	t.Helper()
	conn := reflect.ValueOf(r.node.logs.BoltStore).Elem().FieldByName("conn")
	db := reflect.NewAt(conn.Type(), unsafe.Pointer(conn.UnsafeAddr())).Elem()
	out := db.MethodByName("Begin").Call([]reflect.Value{reflect.ValueOf(true)}) // the file has one writer at a time
	if !out[1].IsNil() {
		t.Fatal(out[1].Interface())
	}
	return sync.OnceFunc(func() { out[0].MethodByName("Rollback").Call(nil) })
}

// TestFrozenLogOfTheLeader: the log of the leader does not answer any more. Its heartbeats touch no
// disk and would keep the others loyal for ever; yet they elect another within seconds, what was
// acknowledged is there, and the frozen node closes its port and ends.
func TestFrozenLogOfTheLeader(t *testing.T) {
	t.Parallel()
	h := newHouse(t, 3, nil)
	h.start()
	h.settled()
	first := h.leader()
	r := h.rooms[first]
	if err := put(r.db, "a", "before"); err != nil {
		t.Fatal(err)
	}
	term := r.node.raft.CurrentTerm()
	thaw := r.freeze(t)
	t.Cleanup(thaw) // before the nodes are stopped
	begun := time.Now()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { // something to write
		_ = r.db.Update(ctx, func(tx *fsm.Tx) error { return notes.Put(tx, &note{"b", "x"}) })
	}()
	led := -1
	eventually(t, "another leader", func() bool {
		for i, o := range h.rooms {
			if i != first && o.node.IsLeader() {
				led = i
			}
		}
		return led >= 0
	})
	t.Logf("another led after %v", time.Since(begun))
	if err := put(h.rooms[led].db, "c", "after"); err != nil {
		t.Fatal(err)
	}
	if got := text(h.rooms[led].db, "a"); got != "before" {
		t.Errorf("what was acknowledged reads %q", got)
	}
	eventually(t, "the frozen node to end", func() bool { return errors.Is(r.died(), disk.ErrStall) })
	eventually(t, "its port to be closed", func() bool {
		c, err := net.Dial("tcp", r.cfg.Listen)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	t.Logf("it was gone after %v", time.Since(begun))
	if r.node.Ready() == nil {
		t.Error("still ready")
	}
	thaw() // what waits for the log is done before it is closed
	eventually(t, "the log to have been written", func() bool { return r.node.raft.CurrentTerm() > term && r.node.logs.Writing() == 0 })
}

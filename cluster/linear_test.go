package cluster

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/quis-idp/quis/fsm"
)

// A registerOp is what a client of the test does with one row.
type registerOp struct {
	kind     string // get, put, cas
	key      string
	old, new string
}

type registerAnswer struct {
	text    string // what get or cas has read
	unknown bool   // of a write: it may have happened, or happen yet
}

var register = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		byKey := map[string][]porcupine.Operation{}
		for _, o := range history {
			k := o.Input.(registerOp).key
			byKey[k] = append(byKey[k], o)
		}
		var parts [][]porcupine.Operation
		for _, p := range byKey {
			parts = append(parts, p)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(string), input.(registerOp), output.(registerAnswer)
		switch {
		case in.kind == "get":
			return out.text == s, s
		case in.kind == "put":
			return true, in.new
		case !out.unknown && out.text != s:
			return false, s
		case s == in.old:
			return true, in.new
		}
		return true, s
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v -> %+v", in, out) },
}

// do runs one operation on one node. An operation that certainly has not happened is not ok.
func (o registerOp) do(ctx context.Context, n *Node, db *fsm.DB) (a registerAnswer, ok bool) {
	read := func(tx *fsm.Tx) error {
		row, err := notes.Get(tx, fsm.Global, fsm.K(o.key))
		a.text = ""
		if err == nil {
			a.text = row.Text
		}
		if errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		return err
	}
	var err error
	switch o.kind {
	case "get":
		if err = n.CatchUp(ctx); err == nil {
			err = db.View(ctx, read)
		}
		return a, err == nil
	case "put":
		err = db.Update(ctx, func(tx *fsm.Tx) error { return notes.Put(tx, &note{o.key, o.new}) })
	case "cas":
		err = db.Update(ctx, func(tx *fsm.Tx) error {
			if err := read(tx); err != nil || a.text != o.old {
				return err
			}
			return notes.Put(tx, &note{o.key, o.new})
		})
	}
	if errors.Is(err, fsm.ErrUnavailable) || errors.Is(err, fsm.ErrConflict) {
		return a, false // both promise that nothing was written
	}
	a.unknown = err != nil
	return a, true
}

// Clients read, write and compare-and-set through all nodes while one leader after the
// other dies without a word, every second one with its disk. There must be one order of
// all that was answered, in which every answer is right, and nothing happens that was
// said not to have.
func TestHistoryIsLinearizable(t *testing.T) {
	t.Parallel()
	const clients, keys, crashes = 6, 8, 4
	h := newHouse(t, 3, func(c *Config) { small(c); c.ProposeTimeout = 3 * time.Second })
	h.start()
	type running struct {
		node *Node
		db   *fsm.DB
	}
	up := make([]atomic.Pointer[running], len(h.rooms))
	for i, r := range h.rooms {
		up[i].Store(&running{r.node, r.db})
	}
	begun := time.Now()
	var mu sync.Mutex
	var history []porcupine.Operation
	var written atomic.Int64
	ctx, end := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for c := range clients {
		all.Go(func() {
			r := rand.New(rand.NewPCG(11, uint64(c)))
			last := make([]string, keys) // what this client has seen, for a cas that may succeed
			for k := 0; ctx.Err() == nil; k++ {
				at := up[r.IntN(len(up))].Load()
				if at == nil {
					continue
				}
				key := r.IntN(keys)
				o := registerOp{
					kind: []string{"get", "put", "cas"}[r.IntN(3)], key: fmt.Sprint(key),
					old: last[key], new: fmt.Sprintf("%d.%d", c, k),
				}
				call := time.Since(begun).Nanoseconds()
				a, ok := o.do(context.Background(), at.node, at.db)
				back := time.Since(begun).Nanoseconds()
				if !ok {
					continue
				}
				if a.unknown {
					back = math.MaxInt64
				} else if written.Add(1); o.kind != "put" {
					last[key] = a.text
				}
				mu.Lock()
				history = append(history, porcupine.Operation{ClientId: c, Input: o, Output: a, Call: call, Return: back})
				mu.Unlock()
			}
		})
	}
	enough := func() {
		t.Helper()
		want := written.Load() + 200
		eventually(t, "answers", func() bool { return written.Load() >= want })
	}
	for k := range crashes {
		enough()
		l := h.leader()
		up[l].Store(nil)
		h.crash(l)
		if k%2 == 1 { // it comes back under its name, without a memory of its votes
			h.wipe(l)
		}
		enough()
		h.start(l)
		eventually(t, "the node to vote", func() bool { return h.isVoter(l) })
		up[l].Store(&running{h.rooms[l].node, h.rooms[l].db})
	}
	enough()
	end()
	all.Wait()
	unknown := 0
	for i := range history {
		if history[i].Return == math.MaxInt64 {
			history[i].ClientId = clients + unknown // whoever does not know goes on as somebody else
			unknown++
		}
	}
	t.Logf("%d operations, %d of unknown outcome, in %v", len(history), unknown, time.Since(begun).Round(time.Millisecond))
	switch result, _ := porcupine.CheckOperationsVerbose(register, history, time.Minute); result {
	case porcupine.Illegal:
		t.Error("no order of the operations explains the answers")
	case porcupine.Unknown:
		t.Error("not decided within a minute")
	}
	h.sameState()
}

package house

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/e2e/history"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
)

const tenant = identity.DefaultTenant

// staleness is how old the state may be that a node answers from: the default of the
// setting of this name.
const staleness = 500 * time.Millisecond

// held returns what one node has of a row, without asking another.
func held(ctx context.Context, n *daemon.Node, kind history.Kind, key string) (text string, err error) {
	err = n.DB().View(ctx, func(tx *fsm.Tx) error {
		var g *directory.Group
		if kind == history.Lookup {
			g, err = directory.GroupByName(tx, tenant, key)
		} else {
			g, _, err = directory.GetGroup(tx, tenant, key)
		}
		if errors.Is(err, fsm.ErrNotFound) && kind == history.Lookup {
			return nil
		}
		if err != nil {
			return err
		}
		if text = g.Description; kind == history.Count && text == "" {
			text = "0"
		}
		return nil
	})
	return text, err
}

// Audit judges everything once the clients have stopped and all nodes are ready.
func (h *House) Audit(ctx context.Context) []history.Violation {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var nodes []history.Node
	for _, r := range h.Rooms {
		n := r.Node()
		r.silence()
		nodes = append(nodes, history.Node{
			Name: r.Name,
			Hash: func(context.Context) (uint64, []byte, error) {
				index, sum, err := n.DB().StateHash()
				return index, sum[:], err
			},
			Chain: func(context.Context) (uint64, []byte, error) {
				p := n.DB().Position()
				return p.Index, p.Chain[:], nil
			},
			Events: func(ctx context.Context) (uint64, string, error) {
				a, err := event.Verify(ctx, n.DB())
				return a.Count, a.String(), err
			},
			Read:    func(ctx context.Context, k history.Kind, key string) (string, error) { return held(ctx, n, k, key) },
			Applied: func(context.Context) (uint64, error) { return n.DB().Position().Index, nil },
		})
	}
	bad, unasked := history.Audit(ctx, h.Rec, nodes)
	for _, q := range unasked {
		bad = append(bad, history.Violation{Rule: "audit", Key: q, Text: "could not be asked"})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	bad = append(bad, history.Check(h.Rec.Ops(), history.Options{
		Stale: staleness + 10*time.Millisecond, Grace: 30 * time.Second, ClocksJump: h.jumped,
	})...)
	bad = append(bad, history.CheckKeys(h.uses, h.sets)...)
	bad = append(bad, history.CheckDuties(inTerms(h.duty))...)
	return append(bad, h.odd...)
}

// inTerms numbers the times for which nodes led by the order of their first writes.
func inTerms(writes []history.DutyWrite) []history.DutyWrite {
	out := slices.SortedFunc(slices.Values(writes), func(a, b history.DutyWrite) int { return cmp.Compare(a.Index, b.Index) })
	number := map[string]uint64{}
	for i, w := range out {
		if number[w.Node] == 0 {
			number[w.Node] = uint64(len(number) + 1)
		}
		out[i].Term = number[w.Node]
	}
	return out
}

// tally counts the outcomes of each kind of operation.
func (h *House) tally() map[history.Kind]map[history.Outcome]int {
	n := map[history.Kind]map[history.Outcome]int{}
	for _, o := range h.Rec.Ops() {
		if n[o.Kind] == nil {
			n[o.Kind] = map[history.Outcome]int{}
		}
		n[o.Kind][o.Outcome]++
	}
	return n
}

// Sum says in one line what the clients did.
func (h *House) Sum() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return fmt.Sprintf("%d sign-ins, %d writes of a duty in %d terms and %d refused after them, %d key sets; %v", h.logins, len(h.duty), h.terms, h.fenced, len(h.sets), h.tally())
}

// Idle says what hardly happened, so that a run in which nothing worked does not pass for one
// in which nothing was wrong.
func (h *House) Idle() string {
	n := h.tally()
	for _, k := range []history.Kind{history.Write, history.Swap, history.Add, history.Create, history.Redeem, history.Refresh, history.Read, history.Count, history.Lookup} {
		if n[k][history.OK] < 5 {
			return fmt.Sprintf("%d %s were answered", n[k][history.OK], k)
		}
	}
	return ""
}

package history

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Node is one node as the audit sees it. A function that is nil cannot be asked of
// this node; the audit says so by itself, so that nothing passes for checked that was not.
type Node struct {
	Name string
	// Hash returns the hash of the node's state and the log index it stands at.
	Hash func(ctx context.Context) (index uint64, hash []byte, err error)
	// Chain returns the head of the chain over the log's entries and verdicts, and its index.
	Chain func(ctx context.Context) (index uint64, head []byte, err error)
	// Events recomputes the chain of events and returns how many there are and the link
	// of the last; an error if it is broken.
	Events func(ctx context.Context) (count uint64, end string, err error)
	// Read returns what this node itself holds of a register, counter or name, as a
	// Read, Count or Lookup of that key would; "" if nothing.
	Read func(ctx context.Context, kind Kind, key string) (string, error)
	// Applied returns the log index that the node has applied.
	Applied func(ctx context.Context) (uint64, error)
}

// Audit waits until all nodes stand at one index, reads everything that was ever
// written on each of them into rec, and compares the nodes. After it Check judges
// those reads too: an acknowledged write that one node lacks is a read that no
// order explains. Every second result is a question that could not be asked.
func Audit(ctx context.Context, rec *Recorder, nodes []Node) (bad []Violation, unasked []string) {
	if err := settle(ctx, nodes); err != nil {
		bad = append(bad, Violation{"nodes agree", "index", err.Error()})
	}
	read(ctx, rec, nodes, &bad, &unasked)
	compare(ctx, nodes, "state hash", func(n Node) digest { return n.Hash }, &bad, &unasked)
	compare(ctx, nodes, "log chain", func(n Node) digest { return n.Chain }, &bad, &unasked)
	compare(ctx, nodes, "event chain", func(n Node) digest {
		if n.Events == nil {
			return nil
		}
		return func(ctx context.Context) (uint64, []byte, error) {
			count, end, err := n.Events(ctx)
			return count, []byte(end), err
		}
	}, &bad, &unasked)
	return bad, unasked
}

// settle waits until all nodes that can be asked have applied the same index.
func settle(ctx context.Context, nodes []Node) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var said []string
		seen, silent := map[uint64]bool{}, false
		for _, n := range nodes {
			if n.Applied == nil {
				continue
			}
			index, err := n.Applied(ctx)
			if err != nil {
				said, silent = append(said, n.Name+": "+err.Error()), true
				continue
			}
			seen[index] = true
			said = append(said, fmt.Sprintf("%s: %d", n.Name, index))
		}
		if len(seen) <= 1 && !silent {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the nodes do not come to one index: %s", strings.Join(said, ", "))
		}
	}
}

// final says how the last state of a kind's key is read.
var final = map[Kind]Kind{Write: Read, Swap: Read, Read: Read, Add: Count, Count: Count, Create: Lookup, Lookup: Lookup}

// read reads every row on every node. Somebody's write of unknown outcome may still come
// while it does, and to one node before the other: all these reads count as having been
// under way at the same time.
func read(ctx context.Context, rec *Recorder, nodes []Node, bad *[]Violation, unasked *[]string) {
	type row struct {
		kind Kind
		key  string
	}
	rows := map[row]bool{}
	for _, o := range rec.Ops() {
		if k, ok := final[o.Kind]; ok {
			rows[row{k, o.Key}] = true
		}
	}
	type reading struct {
		node Node
		row  row
		op   *Pending
		got  string
		err  error
	}
	var all []*reading
	for _, n := range nodes {
		if n.Read == nil {
			*unasked = append(*unasked, n.Name+": rows")
			continue
		}
		for r := range rows {
			all = append(all, &reading{node: n, row: r, op: rec.Begin(Op{Kind: r.kind, Key: r.key, Node: n.Name})})
		}
	}
	for _, r := range all {
		r.got, r.err = r.node.Read(ctx, r.row.kind, r.row.key)
	}
	for _, r := range all {
		if r.err != nil {
			r.op.End(Never, "", r.err.Error())
			*bad = append(*bad, Violation{"every write on every node", r.row.key, r.node.Name + ": " + r.err.Error()})
			continue
		}
		r.op.End(OK, r.got, "audit")
	}
}

type digest = func(ctx context.Context) (uint64, []byte, error)

// compare asks every node for a hash; at one index all must be equal. While the nodes
// stand at different indexes it asks again: somebody is still writing.
func compare(ctx context.Context, nodes []Node, rule string, of func(Node) digest, bad *[]Violation, unasked *[]string) {
	var able []Node
	for _, n := range nodes {
		if of(n) == nil {
			*unasked = append(*unasked, n.Name+": "+rule)
			continue
		}
		able = append(able, n)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		indexes, found := ask(ctx, able, rule, of)
		if len(found) > 0 {
			*bad = append(*bad, found...)
			return
		}
		if indexes <= 1 {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			*bad = append(*bad, Violation{rule, "index", fmt.Sprintf("the nodes stand at %d different indexes: not all were compared", indexes)})
			return
		}
	}
}

// ask makes one round and says at how many indexes the nodes stood.
func ask(ctx context.Context, nodes []Node, rule string, of func(Node) digest) (indexes int, bad []Violation) {
	type answer struct {
		node string
		hash []byte
	}
	seen := map[uint64]answer{}
	for _, n := range nodes {
		index, hash, err := of(n)(ctx)
		if err != nil {
			bad = append(bad, Violation{rule, n.Name, err.Error()})
			continue
		}
		other, ok := seen[index]
		if ok && !bytes.Equal(other.hash, hash) {
			bad = append(bad, Violation{rule, fmt.Sprint("index ", index),
				fmt.Sprintf("%s has %s, %s has %s", other.node, hex.EncodeToString(other.hash), n.Name, hex.EncodeToString(hash))})
		}
		seen[index] = answer{n.Name, hash}
	}
	return len(seen), bad
}

// A KeyUse is a token that a node signed.
type KeyUse struct {
	KID, Node string
	At        time.Duration // when the answer that held it had arrived
}

// A KeySet is what a node published.
type KeySet struct {
	Node string
	KIDs []string
	At   time.Duration // when it was asked for
}

// CheckKeys reports sets that lack a key with which somebody had signed before they
// were asked for. Leave out sets of nodes that were no voters then, and keys that were
// revoked on purpose.
func CheckKeys(uses []KeyUse, sets []KeySet) (bad []Violation) {
	first := map[string]KeyUse{}
	for _, u := range uses {
		if f, ok := first[u.KID]; !ok || u.At < f.At {
			first[u.KID] = u
		}
	}
	for _, s := range sets {
		for kid, u := range first {
			if s.At > u.At && !slices.Contains(s.KIDs, kid) {
				bad = append(bad, Violation{"key published before it signs", kid,
					fmt.Sprintf("%s signed with it by %v, %s did not publish it at %v", u.Node, u.At, s.Node, s.At)})
			}
		}
	}
	return bad
}

// A DutyWrite is one write of a duty that was committed.
type DutyWrite struct {
	Duty, Node string
	Term       uint64 // of the leadership it ran under
	Index      uint64 // at which it was committed
}

// CheckDuties reports writes of an older term behind those of a newer one, and terms
// under which two nodes wrote.
func CheckDuties(writes []DutyWrite) (bad []Violation) {
	byIndex := slices.SortedFunc(slices.Values(writes), func(a, b DutyWrite) int { return cmp.Compare(a.Index, b.Index) })
	holder := map[uint64]string{}
	var last DutyWrite
	for _, w := range byIndex {
		if w.Term < last.Term {
			bad = append(bad, Violation{"duties run under one term", w.Duty,
				fmt.Sprintf("%s wrote at index %d under term %d, after %s at %d under term %d", w.Node, w.Index, w.Term, last.Node, last.Index, last.Term)})
		}
		if h, ok := holder[w.Term]; ok && h != w.Node {
			bad = append(bad, Violation{"duties run under one term", w.Duty, fmt.Sprintf("%s and %s both wrote under term %d", h, w.Node, w.Term)})
		}
		holder[w.Term] = w.Node
		if w.Term >= last.Term {
			last = w
		}
	}
	return bad
}

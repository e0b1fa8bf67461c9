// Package recovery brings a cluster back of which a majority is lost for ever: it makes
// one stopped node the only voter of what is left.
//
// Everything in that node's log counts from then on, also what no majority ever had; what
// only the lost nodes had is lost. Among that may be the mark that a code or a refresh
// token was used, so a recovery begins a new epoch, as a restore does: sessions, codes
// and families of before are void.
//
// What is left is another cluster: it has an ID and an authority of its own, so that lost
// nodes that come back cannot reach it nor be reached, although two of three would still
// be a majority of the cluster that was. They must be wiped and join again.
//
// Each step can be repeated after a crash, and the log that was there is kept as a copy.
package recovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/disk"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

const logFile = "raft.db"

// A Standing is how far a stopped node has come. Of several, the one with the highest
// LogTerm, then LogIndex, has everything that a majority had acknowledged, if any has.
type Standing struct {
	ClusterID   string   `json:"cluster_id"`
	NodeID      string   `json:"node_id"`
	LogIndex    uint64   `json:"log_index"`
	LogTerm     uint64   `json:"log_term"`
	StoreIndex  uint64   `json:"store_index"`
	CurrentTerm uint64   `json:"current_term"`
	Voters      []string `json:"voters"`
}

// A Node is the data directory of a stopped node, opened.
type Node struct {
	dir  string
	db   *fsm.DB
	log  *disk.Log
	is   Standing
	self raft.Server
}

// Open opens a data directory whose store is db. It reports fsm.ErrRefused for one that
// is of no cluster.
func Open(dir string, db *fsm.DB) (*Node, error) {
	n := &Node{dir: dir, db: db}
	b, err := os.ReadFile(filepath.Join(dir, disk.IdentityFile))
	if err != nil {
		return nil, fmt.Errorf("the node belongs to no cluster: %w: %w", fsm.ErrRefused, err)
	}
	if err := json.Unmarshal(b, &n.is); err != nil || n.is.NodeID == "" {
		return nil, fmt.Errorf("%s: %w", disk.IdentityFile, errors.Join(fsm.ErrCorrupt, err))
	}
	if _, err := os.Stat(filepath.Join(dir, logFile)); err != nil {
		return nil, fmt.Errorf("the node has no log: %w: %w", fsm.ErrRefused, err)
	}
	n.log, err = disk.OpenLog(dir, prometheus.ObserverFunc(func(float64) {}), func(error) {})
	if err != nil {
		return nil, err
	}
	if err := n.look(); err != nil {
		return nil, errors.Join(err, n.log.Close())
	}
	return n, nil
}

func (n *Node) look() error {
	p := n.db.Position()
	if err := n.log.Fits(p, true); err != nil {
		return err
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return err
	}
	n.is.StoreIndex, n.is.LogIndex, n.is.LogTerm = p.Index, p.Index, p.Term
	if last > p.Index {
		var e raft.Log
		if err := n.log.GetLog(last, &e); err != nil {
			return fmt.Errorf("log entry %d: %w", last, err)
		}
		n.is.LogIndex, n.is.LogTerm = last, e.Term
	}
	if n.is.CurrentTerm, err = n.log.GetUint64([]byte("CurrentTerm")); err != nil {
		return fmt.Errorf("current term: %w", err)
	}
	servers, err := n.servers(last)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if s.Suffrage == raft.Voter {
			n.is.Voters = append(n.is.Voters, string(s.ID))
		}
		if string(s.ID) == n.is.NodeID {
			n.self = s
		}
	}
	if n.self.ID == "" {
		return fmt.Errorf("node %s is no member of the cluster that its log knows: %w", n.is.NodeID, fsm.ErrRefused)
	}
	return nil
}

// servers returns the members as the latest configuration in log or store has them.
func (n *Node) servers(last uint64) (servers []raft.Server, err error) {
	p := n.db.Position()
	if len(p.Config) > 0 {
		servers = raft.DecodeConfiguration(p.Config).Servers
	}
	return servers, n.each(p.Index, last, func(e *raft.Log) error {
		if e.Type == raft.LogConfiguration {
			servers = raft.DecodeConfiguration(e.Data).Servers
		}
		return nil
	})
}

// each visits the entries behind after, up to last.
func (n *Node) each(after, last uint64, do func(e *raft.Log) error) error {
	for i := after + 1; i <= last; i++ {
		var e raft.Log
		if err := n.log.GetLog(i, &e); err != nil {
			return fmt.Errorf("log entry %d: %w", i, err)
		}
		if err := do(&e); err != nil {
			return err
		}
	}
	return nil
}

// Standing says how far the node has come.
func (n *Node) Standing() Standing { return n.is }

// Close closes the log.
func (n *Node) Close() error { return n.log.Close() }

// Recover makes the node the only voter. It returns where the copy of the log is.
func (n *Node) Recover(by string) (copied string, err error) {
	copied = filepath.Join(n.dir, logFile+".before-recovery-"+time.Now().UTC().Format("20060102T150405Z"))
	if err := copyFile(filepath.Join(n.dir, logFile), copied); err != nil {
		return "", err
	}
	last, err := n.log.LastIndex()
	if err != nil {
		return "", err
	}
	// First of all it is another cluster: a node that is the only voter must never be met by
	// those of the former one, which are a majority of that.
	as, err := form.Recovered(n.dir)
	if err == nil {
		err = n.log.Reclaim(n.is.NodeID, as)
	}
	if err != nil {
		return copied, err
	}
	err = n.each(n.db.Position().Index, last, func(e *raft.Log) error {
		entry := fsm.Entry{Index: e.Index, Term: e.Term, Data: e.Data}
		switch e.Type {
		case raft.LogCommand:
		case raft.LogConfiguration:
			entry = fsm.Entry{Index: e.Index, Term: e.Term, Config: e.Data}
		default:
			return nil // Raft's own
		}
		_, err := n.db.Apply([]fsm.Entry{entry})
		return err
	})
	if err == nil {
		err = n.newEpoch(last, by)
	}
	if err == nil {
		p := n.db.Position()
		alone := raft.Configuration{Servers: []raft.Server{{ID: n.self.ID, Address: n.self.Address}}}
		_, err = n.db.Apply([]fsm.Entry{{Index: p.Index + 1, Term: p.Term, Config: raft.EncodeConfiguration(alone)}})
	}
	if err == nil {
		_, err = n.db.Flush()
	}
	if err != nil {
		return copied, fmt.Errorf("recover: %w", err)
	}
	first, err := n.log.FirstIndex()
	if err == nil && first > 0 {
		err = n.log.DeleteRange(first, last)
	}
	return copied, err
}

// newEpoch rewrites the store as if it were its own backup, behind the end of the log.
func (n *Node) newEpoch(last uint64, by string) error {
	p := n.db.Position()
	epoch, err := seal.Restoration{
		At: time.Now().UTC(), Archive: "recovery", Cluster: n.is.ClusterID, Made: time.Now().UTC(), Index: p.Index, Before: p.Index, By: by,
	}.Begin()
	if err != nil {
		return err
	}
	stream, err := n.db.OpenStream()
	if err != nil {
		return err
	}
	r, w := io.Pipe()
	go func() {
		_, err := stream.WriteTo(w)
		w.CloseWithError(errors.Join(err, stream.Close()))
	}()
	f, err := os.CreateTemp(n.dir, "incoming-recovery-*")
	if err != nil {
		r.CloseWithError(err)
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	to, err := n.db.Adopt(f, r, epoch)
	r.CloseWithError(io.ErrClosedPipe)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err == nil {
		err = n.db.RestoreAs(f, max(to.Index, last+1), n.is.CurrentTerm)
	}
	return err
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

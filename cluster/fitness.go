package cluster

import (
	"context"
	"fmt"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// A node whose disk is nearly full, read-only or slow, or whose state is odd, is a
// bad leader. It hands over, if another is better, and does not stand for election
// while there may be one.

const methodFitness = "fitness"

// A fitness says why a member should not lead; releases that do not answer are not asked to.
type fitness struct {
	Unfit   string `cbor:"1,keyasint,omitempty"`
	Applied uint64 `cbor:"2,keyasint,omitempty"`
}

func (n *Node) handleFitness(context.Context, wire.Peer, *struct{}) (any, error) {
	return &fitness{Unfit: n.unfit(), Applied: n.cfg.DB.Position().Index}, nil
}

// unfit says why this node should not lead, or nothing.
func (n *Node) unfit() string {
	if err := n.Isolated(); err != nil {
		return err.Error()
	}
	if n.logs == nil {
		return ""
	}
	return n.logs.Condition().Unfit()
}

const (
	fitnessEvery = time.Second
	standAfter   = 3 * time.Second // without a leader, a bad one is better than none
	standBeats   = 15              // the same in heartbeats
	handOverWait = 5 * time.Second
)

// A candidacy is the transport of a node that does not stand for election while others should.
type candidacy struct {
	*wire.Transport
	n *Node
}

// RequestVote asks for a vote, if this node may stand.
func (c candidacy) RequestVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestVoteRequest, a *raft.RequestVoteResponse) error {
	if err := c.n.barred(); err != nil {
		return err
	}
	return c.Transport.RequestVote(id, at, q, a)
}

// RequestPreVote asks whether it would be given, if this node may stand.
func (c candidacy) RequestPreVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	if err := c.n.barred(); err != nil {
		return err
	}
	return c.Transport.RequestPreVote(id, at, q, a)
}

// barred reports why this node does not stand for election, or nil. An odd one never does.
func (n *Node) barred() error {
	if err := n.Isolated(); err != nil {
		return err
	}
	if !n.started.Load() {
		return nil
	}
	why := n.unfit()
	if why == "" || time.Since(n.raft.LastContact()) > max(standAfter, standBeats*n.cfg.Heartbeat) {
		return nil
	}
	return fmt.Errorf("another should lead: %s: %w", why, fsm.ErrUnavailable)
}

// watchFitness tells of a disk that is no longer good, and while this node leads then,
// looks for a better leader.
func (n *Node) watchFitness() {
	tick := time.NewTicker(min(fitnessEvery, n.cfg.StallLimit/5))
	defer tick.Stop()
	was := ""
	var asked time.Time
	for {
		select {
		case <-tick.C:
		case <-n.quit:
			return
		}
		why := n.unfit()
		if (why == "") != (was == "") {
			if why != "" {
				n.log.Warn("this node should not lead", "reason", why)
			} else {
				n.log.Info("this node may lead again")
			}
			n.changed.broadcast()
		}
		was = why
		if why == "" || n.raft.State() != raft.Leader || time.Since(asked) < handOverWait {
			continue
		}
		asked = time.Now()
		if to := n.fitter(n.ctx); to != nil {
			err := n.raft.LeadershipTransferToServer(to.ID, to.Address).Error()
			n.log.Warn("leadership handed over to a better node", "to", string(to.ID), "reason", why, "error", err)
		}
	}
}

// fitter returns the voter that is furthest of those with nothing against them, or nil.
func (n *Node) fitter(ctx context.Context) (best *raft.Server) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	most := uint64(0)
	for _, s := range n.servers() {
		if s.Suffrage != raft.Voter || string(s.ID) == n.cfg.NodeID {
			continue
		}
		var f fitness
		err := n.port.Caller().Call(ctx, string(s.ID), string(s.Address), methodFitness, &struct{}{}, &f)
		if err == nil && f.Unfit == "" && f.Applied >= most {
			best, most = &s, f.Applied
		}
	}
	return best
}

// noRoom reports why this node's log takes no proposals, or nil.
func (n *Node) noRoom() error {
	if n.logs == nil {
		return nil
	}
	return n.logs.Refuses()
}

var (
	descFree  = prometheus.NewDesc("quis_disk_free_bytes", "Free on the disk of the data directory.", nil, nil)
	descTotal = prometheus.NewDesc("quis_disk_size_bytes", "Size of the disk of the data directory.", nil, nil)
	descUnfit = prometheus.NewDesc("quis_disk_unfit", "1 while this node should not lead because of its disk: low on room, refusing writes, or slow.", []string{"reason"}, nil)
)

// diskGauges tell of the disk.
type diskGauges struct{ n *Node }

// Describe names what Collect gives.
func (g diskGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- descFree
	ch <- descTotal
	ch <- descUnfit
}

// Collect reads the current values.
func (g diskGauges) Collect(ch chan<- prometheus.Metric) {
	c := g.n.logs.Condition()
	ch <- prometheus.MustNewConstMetric(descFree, prometheus.GaugeValue, float64(c.Free))
	ch <- prometheus.MustNewConstMetric(descTotal, prometheus.GaugeValue, float64(c.Total))
	for reason, is := range map[string]bool{"low": c.Low, "refuses": c.Refuses != "", "slow": c.Slow > 0} {
		v := 0.0
		if is {
			v = 1
		}
		ch <- prometheus.MustNewConstMetric(descUnfit, prometheus.GaugeValue, v, reason)
	}
}

package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hashicorp/raft"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/quis-idp/quis/cluster/roster"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// A node whose disk is nearly full, read-only or slow, or whose state is odd, is a
// bad leader. It hands over, if another is known to be better, and lets a better one go
// first when there is no leader. But no leader is worse than any: a node that only is slow
// waits no longer than a healthy rival would need, and none waits for ever.

const methodFitness = "fitness"

// A fitness says why a member should not lead; releases that do not answer are not asked to.
type fitness struct {
	Unfit   string         `cbor:"1,keyasint,omitempty"`
	Applied uint64         `cbor:"2,keyasint,omitempty"`
	Fit     roster.Fitness `cbor:"3,keyasint,omitempty"`
}

func (n *Node) handleFitness(context.Context, wire.Peer, *struct{}) (any, error) {
	fit, why := n.fitness()
	return &fitness{Unfit: why, Applied: n.cfg.DB.Position().Index, Fit: fit}, nil
}

// fitness says how well this node could lead, and why not well.
func (n *Node) fitness() (roster.Fitness, string) {
	if why := n.compare.Odd(); why != "" {
		return roster.Odd, why
	}
	if n.logs == nil {
		return roster.Fit, ""
	}
	c := n.logs.Condition()
	switch why := c.Unfit(); {
	case c.Refuses != "":
		return roster.Refuses, why
	case why != "":
		return roster.Poor, why
	}
	return roster.Fit, ""
}

const (
	fitnessEvery = 250 * time.Millisecond
	// standAfter is for how long without a leader one that takes no writes lets others go first.
	standAfter   = 3 * time.Second
	standBeats   = 10 // the same in heartbeats
	handOverWait = 5 * time.Second
	// courtesy is how much longer than a healthy rival could need a slow one waits for it.
	courtesy = 50 * time.Millisecond
	// stuckLoop is how long a write to the log may take before leadership goes past Raft's
	// main loop, which waits for it.
	stuckLoop = 100 * time.Millisecond
)

// A candidacy is the transport of a node that lets others stand for election that
// would lead better.
type candidacy struct {
	*wire.Transport
	n *Node
}

// RequestPreVote asks whether a vote would be given, once those who would lead better have
// had their time. A vote itself is never held back: it was agreed to, or ordered.
func (c candidacy) RequestPreVote(id raft.ServerID, at raft.ServerAddress, q *raft.RequestPreVoteRequest, a *raft.RequestPreVoteResponse) error {
	if err := c.n.letPass(); err != nil {
		return err
	}
	return c.Transport.RequestPreVote(id, at, q, a)
}

// letPass waits while a better leader may stand for election, and reports whether that one
// should go on being waited for: Raft asks again after an election timeout then.
func (n *Node) letPass() error {
	if !n.started.Load() {
		return nil
	}
	fit, why := n.fitness()
	if fit == roster.Fit {
		return nil
	}
	gone, _ := n.lastLeader.Load().(string)
	better := n.roster.Better(fit, gone)
	if !better && fit != roster.Odd { // an odd one leads only to pass on what its log has and others lack
		return nil
	}
	held := fmt.Errorf("another should lead: %s: %w", why, fsm.ErrUnavailable)
	alone := time.Since(n.raft.LastContact())
	if fit != roster.Poor {
		if alone < max(standAfter, standBeats*n.cfg.Heartbeat) {
			return held
		}
		return nil
	}
	wait := 2*n.cfg.Heartbeat + courtesy - alone // until then every follower has noticed that there is no leader
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
	case <-n.quit:
	}
	if n.raft.State() != raft.Candidate {
		return held
	}
	return nil
}

// watchFitness tells of a disk that is no longer good, and while this node leads then,
// looks for a better leader.
func (n *Node) watchFitness() {
	tick := time.NewTicker(min(fitnessEvery, n.cfg.StallLimit/20))
	defer tick.Stop()
	was := ""
	var asked time.Time
	for {
		select {
		case <-tick.C:
		case <-n.quit:
			return
		}
		fit, why := n.fitness()
		if (why == "") != (was == "") {
			if why != "" {
				n.log.Warn("this node should not lead", "reason", why)
			} else {
				n.log.Info("this node may lead again")
			}
			n.changed.broadcast()
		}
		was = why
		if fit == roster.Fit || n.raft.State() != raft.Leader || time.Since(asked) < handOverWait {
			continue
		}
		asked = time.Now()
		if to := n.fitter(n.ctx, fit); to != nil {
			err := n.handOver(to)
			n.log.Warn("leadership handed over to a better node", "to", string(to.ID), "reason", why, "error", err)
		}
	}
}

// handOver gives leadership to a voter. Raft's own way goes through its main loop, which may be
// waiting for the disk; then the other is told to stand for election without that. What is
// committed is on a majority, so whoever is elected has it.
func (n *Node) handOver(to *raft.Server) error {
	if n.logs.Writing() < stuckLoop {
		return n.raft.LeadershipTransferToServer(to.ID, to.Address).Error()
	}
	if n.roster.NewestTerm() > n.raft.CurrentTerm() { // it has been done, and Raft has not had the time to notice
		return nil
	}
	q := raft.TimeoutNowRequest{RPCHeader: raft.RPCHeader{ProtocolVersion: raft.ProtocolVersionMax, ID: []byte(n.cfg.NodeID), Addr: n.transport.EncodePeer(raft.ServerID(n.cfg.NodeID), n.transport.LocalAddr())}}
	return n.transport.TimeoutNow(to.ID, to.Address, &q, &raft.TimeoutNowResponse{})
}

// fitter returns the best of the voters that are known to be better leaders than one that is fit,
// and among equals the one that is furthest; nil if there is none.
func (n *Node) fitter(ctx context.Context, fit roster.Fitness) (best *raft.Server) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	servers := n.servers()
	answers := make([]fitness, len(servers))
	var all sync.WaitGroup
	for i, s := range servers {
		if s.Suffrage != raft.Voter || string(s.ID) == n.cfg.NodeID {
			continue
		}
		all.Go(func() {
			a := &answers[i]
			if err := n.port.Caller().Call(ctx, string(s.ID), string(s.Address), methodFitness, &struct{}{}, a); err != nil {
				*a = fitness{}
			} else if a.Fit == roster.Unknown && a.Unfit == "" { // the release before
				a.Fit = roster.Fit
			}
		})
	}
	all.Wait()
	most := fitness{Fit: fit}
	for i, a := range answers {
		if a.Fit.BetterThan(most.Fit) || best != nil && a.Fit == most.Fit && a.Applied > most.Applied {
			best, most = &servers[i], a
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

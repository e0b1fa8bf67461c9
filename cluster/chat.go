package cluster

import (
	"time"

	"github.com/quis-idp/quis/cluster/gossip"
)

// startGossip begins to gossip, if an address for it is configured.
func (n *Node) startGossip() error {
	if n.cfg.GossipListen == "" {
		return nil
	}
	g, err := gossip.Start(gossip.Config{
		Self:   gossip.Peer{NodeID: n.cfg.NodeID, Address: n.port.Advertise(), Version: n.cfg.Version, ClusterID: n.self.Identity().ClusterID},
		Listen: n.cfg.GossipListen, Advertise: n.cfg.GossipAdvertise,
		Keys: n.deriveAll("gossip"), Logger: n.log, Changed: n.changed.broadcast,
		Registerer: n.cfg.Registerer,
	})
	if err != nil {
		return err
	}
	n.gossip = g
	n.gossiping.Store(true)
	n.loops.Go(n.chat)
	return nil
}

func (n *Node) gossipAddress() string {
	if !n.gossiping.Load() {
		return ""
	}
	return n.gossip.Address()
}

// chat meets those members that gossip does not know, until the node stops.
func (n *Node) chat() {
	wait := 100 * time.Millisecond
	for {
		var todo []string
		for _, s := range n.servers() {
			if string(s.ID) == n.cfg.NodeID || n.gossip.Alive(string(s.ID)) {
				continue
			}
			if a := n.roster.GossipOf(string(s.ID)); a != "" {
				todo = append(todo, a)
			}
		}
		if err := n.gossip.Meet(todo); err != nil {
			n.log.Debug("gossip peers not met yet", "error", err)
		}
		select {
		case <-time.After(wait):
			wait = min(wait*2, 10*time.Second)
		case <-n.quit:
			return
		}
	}
}

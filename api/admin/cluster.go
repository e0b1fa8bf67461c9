package admin

import (
	"encoding/hex"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

func (a *API) clusterRoutes() []route {
	return []route{
		{method: "GET", path: "/cluster/status", needs: ofInstallation, op: "clusterStatus", summary: "The cluster as this node sees it; needs no quorum.", do: handle(a.clusterStatus)},
		{method: "GET", path: "/cluster/members", needs: ofInstallation, op: "clusterMembers", summary: "List the nodes of the cluster.", do: handle(a.clusterMembers)},
		{method: "POST", path: "/cluster/transfer", needs: ofInstallation, op: "transferLeadership", summary: "Hand leadership to another voter; only the node that leads can.", do: handle(a.transferLeadership)},
	}
}

type member struct {
	ID           string `json:"id" doc:"Node ID."`
	Address      string `json:"address" doc:"Cluster address."`
	Voter        bool   `json:"voter" doc:"Whether it counts for a quorum."`
	Leader       bool   `json:"leader" doc:"Whether it leads."`
	Alive        bool   `json:"alive" doc:"Whether it answers."`
	Version      string `json:"version" doc:"Version of its program."`
	AppliedIndex uint64 `json:"applied_index" doc:"Last log entry that it is known to have applied."`
}

type clusterStatus struct {
	NodeID       string   `json:"node_id" doc:"The answering node."`
	ClusterID    string   `json:"cluster_id" doc:"ID of the cluster."`
	State        string   `json:"state" doc:"Leader, Follower, Candidate …"`
	Term         uint64   `json:"term" doc:"Leadership term."`
	LeaderID     string   `json:"leader_id" doc:"Node that leads; empty: none."`
	AppliedIndex uint64   `json:"applied_index" doc:"Last log entry applied here."`
	AppliedChain string   `json:"applied_chain" doc:"Hash over all entries up to that one: equal index, equal hash."`
	CommitIndex  uint64   `json:"commit_index" doc:"Last log entry known to be committed."`
	LastIndex    uint64   `json:"last_index" doc:"Last log entry stored here."`
	Ready        bool     `json:"ready" doc:"Whether this node can serve."`
	NotReady     string   `json:"not_ready,omitempty" doc:"What is missing."`
	Members      []member `json:"members" doc:"The nodes."`
}

func (clusterStatus) SchemaName() string { return "ClusterStatus" }

func showMember(m *cluster.Member) member {
	return member{m.ID, m.Address, m.Voter, m.Leader, m.Alive, m.Version, m.AppliedIndex}
}

func (a *API) clusterStatus(c *call, _ *none) (*clusterStatus, error) {
	s := a.cfg.Cluster.Status(c.ctx)
	at := a.cfg.DB.Position()
	out := &clusterStatus{
		NodeID: s.NodeID, ClusterID: s.ClusterID, State: s.State, Term: s.Term, LeaderID: s.LeaderID,
		AppliedIndex: at.Index, AppliedChain: hex.EncodeToString(at.Chain[:]), CommitIndex: s.CommitIndex, LastIndex: s.LastIndex, Ready: true,
		Members: show(s.Members, "", showMember).Data,
	}
	if err := a.cfg.Cluster.Ready(); err != nil {
		out.Ready, out.NotReady = false, err.Error()
	}
	return out, nil
}

func (a *API) clusterMembers(c *call, _ *none) (*page[member], error) {
	return show(a.cfg.Cluster.Status(c.ctx).Members, "", showMember), nil
}

func (a *API) transferLeadership(c *call, _ *none) (*none, error) {
	if s := a.cfg.Cluster.Status(c.ctx); s.LeaderID != s.NodeID {
		detail := "This node does not lead. Ask " + s.LeaderID + "."
		if s.LeaderID == "" {
			detail = "The cluster has no leader just now."
		}
		return nil, &identity.Error{Kind: fsm.ErrUnavailable, Detail: detail}
	}
	return nil, a.cfg.Cluster.Transfer(c.ctx, "")
}

package client

import (
	"context"
	"net/http"
)

// A Member is one node of the cluster.
type Member struct {
	ID           string `json:"id"`
	Address      string `json:"address"`
	Voter        bool   `json:"voter"`
	Leader       bool   `json:"leader"`
	Alive        bool   `json:"alive"`
	Version      string `json:"version"`
	AppliedIndex uint64 `json:"applied_index"`
}

// A ClusterStatus is the cluster as the answering node sees it.
type ClusterStatus struct {
	NodeID       string   `json:"node_id"`
	ClusterID    string   `json:"cluster_id"`
	State        string   `json:"state"` // Leader, Follower, Candidate, …
	Term         uint64   `json:"term"`
	LeaderID     string   `json:"leader_id"` // empty: there is none
	AppliedIndex uint64   `json:"applied_index"`
	AppliedChain string   `json:"applied_chain"` // hash over all entries up to AppliedIndex
	CommitIndex  uint64   `json:"commit_index"`
	LastIndex    uint64   `json:"last_index"`
	Ready        bool     `json:"ready"`
	NotReady     string   `json:"not_ready"` // what is missing
	Members      []Member `json:"members"`
}

// Status returns the state of the cluster; it needs no quorum.
func (c *Client) Status(ctx context.Context) (*ClusterStatus, error) {
	return fetch[ClusterStatus](ctx, c, http.MethodGet, "/cluster/status", request{house: true}, nil)
}

// Members returns the nodes of the cluster.
func (c *Client) Members(ctx context.Context) ([]Member, error) {
	p, err := listOf[Member](ctx, c, "/cluster/members", request{house: true})
	if err != nil {
		return nil, err
	}
	return p.Data, nil
}

// Transfer asks the leader to hand leadership to another voter; only the leader itself can.
func (c *Client) Transfer(ctx context.Context) error {
	_, err := c.call(ctx, http.MethodPost, "/cluster/transfer", request{house: true}, nil)
	return err
}

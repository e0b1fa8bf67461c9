package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// A Member is one node of the cluster.
type Member struct {
	ID           string `json:"id"`
	Address      string `json:"address"`
	Role         string `json:"role"` // voter, joining, non-voter or removed; empty: the server is older
	Voter        bool   `json:"voter"`
	Leader       bool   `json:"leader"`
	Alive        bool   `json:"alive"`
	Healthy      bool   `json:"healthy"`
	Reason       string `json:"reason,omitempty"` // why it is not healthy
	Version      string `json:"version"`
	AppliedIndex uint64 `json:"applied_index"`
	Lag          uint64 `json:"lag"` // log entries behind the leader

	LastSeen      *time.Time `json:"last_seen,omitempty"` // by the node that answers; nil: never
	ClockOffsetUS int64      `json:"clock_offset_us"`     // its clock less that of the node that answers
	ClockErrorUS  int64      `json:"clock_error_us"`      // 0: its clock is not known
	CA            string     `json:"ca,omitempty"`        // fingerprint of the authority that its certificate is from
}

// A ClusterStatus is the cluster as the answering node sees it.
type ClusterStatus struct {
	NodeID       string           `json:"node_id"`
	ClusterID    string           `json:"cluster_id"`
	State        string           `json:"state"` // Leader, Follower, Candidate, …
	Term         uint64           `json:"term"`
	LeaderID     string           `json:"leader_id"` // empty: there is none
	AppliedIndex uint64           `json:"applied_index"`
	AppliedChain string           `json:"applied_chain"` // hash over all entries up to AppliedIndex
	CommitIndex  uint64           `json:"commit_index"`
	LastIndex    uint64           `json:"last_index"`
	Ready        bool             `json:"ready"`
	NotReady     string           `json:"not_ready"` // what is missing
	Voters       int              `json:"voters"`
	Healthy      int              `json:"healthy"`   // of the voters
	Tolerates    int              `json:"tolerates"` // further failures
	Summary      string           `json:"summary"`   // the three in words; empty: the server is older
	Members      []Member         `json:"members"`
	Features     *ClusterFeatures `json:"features"` // nil: the server is older
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

// Transfer hands leadership to the voter named to, or if that is empty to the one that is furthest.
func (c *Client) Transfer(ctx context.Context, to string) error {
	in := request{house: true}
	if to != "" {
		in.body = map[string]string{"to": to}
	}
	_, err := c.call(ctx, http.MethodPost, "/cluster/transfer", in, nil)
	return err
}

// RemoveMember takes a node out of the cluster for good. Without force the server refuses what would
// leave fewer healthy voters than a majority or, if the node is healthy, than are wanted.
func (c *Client) RemoveMember(ctx context.Context, id string, force bool) error {
	in := request{house: true}
	if force {
		in.query = url.Values{"force": {"true"}}
	}
	return c.removeWith(ctx, join("cluster", "members", id), in)
}

// DemoteMember takes a node's vote away; it goes on serving. It is refused as RemoveMember is.
func (c *Client) DemoteMember(ctx context.Context, id string, force bool) error {
	in := request{house: true}
	if force {
		in.query = url.Values{"force": {"true"}}
	}
	_, err := c.call(ctx, http.MethodPost, join("cluster", "members", id, "demote"), in, nil)
	return err
}

// PromoteMember lets a node vote.
func (c *Client) PromoteMember(ctx context.Context, id string) error {
	_, err := c.call(ctx, http.MethodPost, join("cluster", "members", id, "promote"), request{house: true}, nil)
	return err
}

// Autopilot are the rules by which nodes are let in and removed.
type Autopilot struct {
	CleanupDead      bool   `json:"cleanup_dead"`       // remove voters that have died
	DeadAfterSeconds int    `json:"dead_after_seconds"` // how long a node must be silent to count as dead
	MinQuorum        int    `json:"min_quorum"`         // healthy voters below which nobody healthy is removed without force, and nobody automatically
	StabilizeSeconds int    `json:"stabilize_seconds"`  // how long a new node must be healthy before it votes
	MaxLag           uint64 `json:"max_lag"`            // log entries that a healthy node may be behind
}

// AutopilotFields are what a caller changes of the rules. A nil field is left as it is.
type AutopilotFields struct {
	CleanupDead      *bool   `json:"cleanup_dead,omitempty"`
	DeadAfterSeconds *int    `json:"dead_after_seconds,omitempty"`
	MinQuorum        *int    `json:"min_quorum,omitempty"`
	StabilizeSeconds *int    `json:"stabilize_seconds,omitempty"`
	MaxLag           *uint64 `json:"max_lag,omitempty"`
}

// Autopilot returns the rules by which nodes are let in and removed.
func (c *Client) Autopilot(ctx context.Context) (*Autopilot, error) {
	return fetch[Autopilot](ctx, c, http.MethodGet, "/cluster/autopilot", request{house: true}, nil)
}

// SetAutopilot changes what f mentions of those rules.
func (c *Client) SetAutopilot(ctx context.Context, f AutopilotFields) (*Autopilot, error) {
	return fetch[Autopilot](ctx, c, http.MethodPatch, "/cluster/autopilot", request{body: f, house: true}, nil)
}

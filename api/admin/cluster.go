package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/event"
)

func (a *API) clusterRoutes() []route {
	return []route{
		{Method: "GET", Path: "/cluster/status", Needs: ofInstallation, Op: "clusterStatus", Summary: "The cluster as this node sees it; needs no quorum.", Do: handle(a.clusterStatus)},
		{Method: "GET", Path: "/cluster/members", Needs: ofInstallation, Op: "clusterMembers", Summary: "List the nodes of the cluster.", Do: handle(a.clusterMembers)},
		{Method: "POST", Path: "/cluster/transfer", Needs: ofInstallation, Op: "transferLeadership", Summary: "Hand leadership to another voter.", Do: handle(a.transferLeadership)},
		{Method: "DELETE", Path: "/cluster/members/{id}", Needs: ofInstallation, Op: "removeNode", Summary: "Take a node out of the cluster for good.", Do: handle(a.removeNode)},
		{Method: "POST", Path: "/cluster/members/{id}/demote", Needs: ofInstallation, Op: "demoteNode", Summary: "Take a node's vote away; it goes on serving.", Do: handle(a.demoteNode)},
		{Method: "POST", Path: "/cluster/members/{id}/promote", Needs: ofInstallation, Op: "promoteNode", Summary: "Let a node vote.", Do: handle(a.promoteNode)},
		{Method: "GET", Path: "/cluster/doctor", Needs: ofInstallation, Op: "examineCluster", Summary: "Have every node examine its machine and its way to the others; takes some seconds.", Do: handle(a.examineCluster)},
		{Method: "GET", Path: "/cluster/autopilot", Needs: ofInstallation, Op: "getAutopilot", Summary: "The rules by which nodes are let in and removed.", Do: handle(a.getAutopilot)},
		{Method: "PUT", Path: "/cluster/autopilot", Needs: ofInstallation, Op: "replaceAutopilot", Summary: "Replace the rules by which nodes are let in and removed.", Do: handle(a.changeAutopilot)},
		{Method: "PATCH", Path: "/cluster/autopilot", Needs: ofInstallation, Op: "updateAutopilot", Summary: "Change what is mentioned of those rules.", Do: handle(a.changeAutopilot)},
	}
}

type member struct {
	ID            string     `json:"id" doc:"Node ID."`
	Address       string     `json:"address" doc:"Cluster address."`
	Role          string     `json:"role" doc:"voter; joining: will vote when it has kept up; non-voter: follows by an operator's wish; removed."`
	Voter         bool       `json:"voter" doc:"Whether it counts for a quorum."`
	Leader        bool       `json:"leader" doc:"Whether it leads."`
	Alive         bool       `json:"alive" doc:"Whether it answers."`
	Healthy       bool       `json:"healthy" doc:"Whether it answers and keeps up."`
	Reason        string     `json:"reason,omitempty" doc:"Why it is not healthy."`
	Version       string     `json:"version" doc:"Version of its program."`
	AppliedIndex  uint64     `json:"applied_index" doc:"Last log entry that it is known to have applied."`
	Lag           uint64     `json:"lag" doc:"Log entries that it is behind the leader."`
	LastSeen      *time.Time `json:"last_seen,omitempty" doc:"When it last answered the node that you ask."`
	ClockOffsetUS int64      `json:"clock_offset_us" doc:"Its clock less that of the node that you ask, in microseconds."`
	ClockErrorUS  int64      `json:"clock_error_us" doc:"How far off that may be; 0: its clock is not known."`
	CA            string     `json:"ca,omitempty" doc:"Fingerprint of the authority that its certificate is from."`
}

type clusterStatus struct {
	NodeID       string           `json:"node_id" doc:"The answering node."`
	ClusterID    string           `json:"cluster_id" doc:"ID of the cluster."`
	State        string           `json:"state" doc:"leader, follower, candidate; starting: no majority has confirmed it yet, and it knows nothing of the others."`
	Term         uint64           `json:"term" doc:"Leadership term."`
	LeaderID     string           `json:"leader_id" doc:"Node that leads; empty: none."`
	AppliedIndex uint64           `json:"applied_index" doc:"Last log entry applied here."`
	AppliedChain string           `json:"applied_chain" doc:"Hash over all entries up to that one: equal index, equal hash."`
	CommitIndex  uint64           `json:"commit_index" doc:"Last log entry known to be committed."`
	LastIndex    uint64           `json:"last_index" doc:"Last log entry stored here."`
	Ready        bool             `json:"ready" doc:"Whether this node can serve."`
	NotReady     string           `json:"not_ready,omitempty" doc:"What is missing."`
	Voters       int              `json:"voters" doc:"Nodes that vote."`
	Healthy      int              `json:"healthy" doc:"Those of them that are healthy."`
	Tolerates    int              `json:"tolerates" doc:"How many more may fail before nothing can be written."`
	Summary      string           `json:"summary" doc:"The same in words."`
	Members      []member         `json:"members" doc:"The nodes."`
	Features     *clusterFeatures `json:"features,omitempty" doc:"What the members read."`
}

func (clusterStatus) SchemaName() string { return "ClusterStatus" }

func showMember(m *cluster.Member) member {
	out := member{
		ID: m.ID, Address: m.Address, Role: m.Role, Voter: m.Voter, Leader: m.Leader, Alive: m.Alive,
		Healthy: m.Healthy, Reason: m.Reason, Version: m.Version, AppliedIndex: m.AppliedIndex, Lag: m.Lag,
		ClockOffsetUS: m.ClockOffset.Microseconds(), ClockErrorUS: m.ClockError.Microseconds(), CA: m.CA,
	}
	if !m.LastSeen.IsZero() {
		out.LastSeen = &m.LastSeen
	}
	return out
}

func (a *API) clusterStatus(c *call, _ *none) (*clusterStatus, error) {
	s := a.cfg.Cluster.Status(c.Ctx)
	at := a.cfg.DB.Position()
	out := &clusterStatus{
		NodeID: s.NodeID, ClusterID: s.ClusterID, State: s.State, Term: s.Term, LeaderID: s.LeaderID,
		AppliedIndex: at.Index, AppliedChain: hex.EncodeToString(at.Chain[:]), CommitIndex: s.CommitIndex, LastIndex: s.LastIndex, Ready: true,
		Voters: s.Voters, Healthy: s.Healthy, Tolerates: s.Tolerates, Summary: s.Summary,
		Members: show(s.Members, "", showMember).Data, Features: a.features(c, s.Members),
	}
	if err := a.cfg.Cluster.Ready(); err != nil {
		out.Ready, out.NotReady = false, err.Error()
	}
	return out, nil
}

func (a *API) clusterMembers(c *call, _ *none) (*page[member], error) {
	return show(a.cfg.Cluster.Status(c.Ctx).Members, "", showMember), nil
}

type transfer struct {
	To string `json:"to" max:"63" doc:"Node that shall lead; by default the voter that is furthest."`
}

type transferIn struct {
	Body transfer `required:"false"`
}

func (a *API) transferLeadership(c *call, in *transferIn) (*none, error) {
	from := a.cfg.Cluster.Status(c.Ctx).LeaderID
	if err := a.cfg.Cluster.Transfer(c.Ctx, in.Body.To); err != nil {
		return nil, refusal(err)
	}
	return nil, a.tell(c, event.ClusterLeaderMoved, in.Body.To, map[string]string{"from": from})
}

type nodeIn struct {
	ID string `path:"id" doc:"Node ID."`
}

type takeNodeIn struct {
	nodeIn
	Force bool `query:"force" doc:"Also if the cluster is left with fewer voters than it should have, or with no node to spare. Not needed for a node that is not healthy while most of the others are."`
}

func (a *API) removeNode(c *call, in *takeNodeIn) (*none, error) {
	s := a.cfg.Cluster.Status(c.Ctx)
	data := map[string]string{"forced": yesNo(in.Force)}
	if in.ID == s.NodeID { // afterwards it cannot write any more
		return nil, &identity.Error{Kind: problem.ErrState, Detail: "This node cannot remove itself: ask another one, " + others(&s) + "."}
	}
	if err := a.cfg.Cluster.Remove(c.Ctx, in.ID, in.Force); err != nil {
		return nil, refusal(err)
	}
	return nil, a.tell(c, event.ClusterMemberRemoved, in.ID, data)
}

// others names the members that could be asked in this node's place.
func others(s *cluster.Status) string {
	var names []string
	for _, m := range s.Members {
		if m.ID != s.NodeID {
			names = append(names, m.ID)
		}
	}
	if len(names) == 0 {
		return "of which there is none"
	}
	return "such as " + strings.Join(names, " or ")
}

func (a *API) demoteNode(c *call, in *takeNodeIn) (*none, error) {
	if err := a.cfg.Cluster.Demote(c.Ctx, in.ID, in.Force); err != nil {
		return nil, refusal(err)
	}
	return nil, a.tell(c, event.ClusterMemberDemoted, in.ID, map[string]string{"forced": yesNo(in.Force)})
}

func (a *API) promoteNode(c *call, in *nodeIn) (*none, error) {
	if err := a.cfg.Cluster.Promote(c.Ctx, in.ID); err != nil {
		return nil, refusal(err)
	}
	return nil, a.tell(c, event.ClusterMemberPromoted, in.ID, nil)
}

// tellWithin bounds how long the record of a change may take after the change, also for a
// client that no longer waits.
const tellWithin = 10 * time.Second

// tell records what was done to a node. Raft's own changes are no transactions, so
// the event comes after what it tells of.
func (a *API) tell(c *call, what event.Type, node string, data map[string]string) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(c.Ctx), tellWithin)
	defer cancel()
	return a.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		return event.Append(tx, event.Event{
			Tenant: identity.DefaultTenant, Type: what, Target: event.Target{Kind: "node", ID: node}, Data: data,
		})
	})
}

// refusal gives a person the sentence of a change that the cluster refused, and the name of
// what was not found.
func refusal(err error) error {
	if r, ok := errors.AsType[autopilot.Refusal](err); ok {
		return &identity.Error{Kind: problem.ErrState, Detail: asSentence(r.Error())}
	}
	for kind, as := range map[error]error{fsm.ErrRefused: problem.ErrState, fsm.ErrNotFound: fsm.ErrNotFound} {
		if errors.Is(err, kind) && len(identity.Errors(err)) == 0 {
			return &identity.Error{Kind: as, Detail: asSentence(strings.TrimSuffix(err.Error(), ": "+kind.Error()))}
		}
	}
	return err
}

func asSentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

type autopilotFields struct {
	CleanupDead      bool   `json:"cleanup_dead" doc:"Remove voters that have died, where the rest keeps a majority and the minimum."`
	DeadAfterSeconds int    `json:"dead_after_seconds" min:"60" max:"2592000" doc:"How long a node must be silent to count as dead."`
	MinQuorum        int    `json:"min_quorum" min:"1" max:"9" doc:"Healthy voters below which nobody healthy is removed without force, and nobody automatically."`
	StabilizeSeconds int    `json:"stabilize_seconds" min:"0" max:"3600" doc:"How long a new node must be healthy before it votes."`
	MaxLag           uint64 `json:"max_lag" min:"1" doc:"Log entries that a healthy node may be behind the leader."`
}

type autopilotRules struct{ autopilotFields }

func showAutopilot(s autopilot.Settings) autopilotFields {
	return autopilotFields{s.CleanupDead, int(s.DeadAfter / time.Second), s.MinQuorum, int(s.StabilizeAfter / time.Second), s.MaxLag}
}

func (a *API) getAutopilot(c *call, _ *none) (*autopilotRules, error) {
	var out autopilotRules
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		s, err := autopilot.Load(tx)
		out.autopilotFields = showAutopilot(s)
		return err
	})
	return &out, err
}

type changeAutopilotIn struct {
	Body change[autopilotFields]
}

func (a *API) changeAutopilot(c *call, in *changeAutopilotIn) (*autopilotRules, error) {
	var out autopilotFields
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		s, err := autopilot.Load(tx)
		if err != nil {
			return err
		}
		old := showAutopilot(s)
		if out, err = in.Body.Onto(old, showAutopilot(autopilot.Default())); err != nil {
			return err
		}
		if out == old {
			return nil
		}
		err = autopilot.Store(tx, autopilot.Settings{
			CleanupDead: out.CleanupDead, DeadAfter: time.Duration(out.DeadAfterSeconds) * time.Second, MinQuorum: out.MinQuorum,
			StabilizeAfter: time.Duration(out.StabilizeSeconds) * time.Second, MaxLag: out.MaxLag,
		})
		if err != nil {
			return err
		}
		return event.Append(tx, event.Event{
			Tenant: identity.DefaultTenant, Type: event.ClusterAutopilotSet, Target: event.Target{Kind: "cluster"},
			Changes: autopilotChanges(old, out),
		})
	})
	return &autopilotRules{out}, refusal(err)
}

func autopilotChanges(old, now autopilotFields) []event.Change {
	var all []event.Change
	note := func(field string, before, after any) {
		if before != after {
			all = append(all, event.Change{Field: field, Before: fmt.Sprint(before), After: fmt.Sprint(after)})
		}
	}
	note("cleanup_dead", old.CleanupDead, now.CleanupDead)
	note("dead_after_seconds", old.DeadAfterSeconds, now.DeadAfterSeconds)
	note("min_quorum", old.MinQuorum, now.MinQuorum)
	note("stabilize_seconds", old.StabilizeSeconds, now.StabilizeSeconds)
	note("max_lag", old.MaxLag, now.MaxLag)
	return all
}

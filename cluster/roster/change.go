package roster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/cluster/wire"
	"github.com/quis-idp/quis/fsm"
)

// A Change is something that an operator may do to a member.
type Change string

// The changes, as they also stand in calls between nodes.
const (
	Transfer Change = "transfer" // leadership to this voter; to the best one if it is not named
	Remove   Change = "remove"   // out of the cluster, for good
	Demote   Change = "demote"   // keep it as a member without a vote
	Promote  Change = "promote"  // give it a vote
)

const (
	methodChange = "change"
	codeNotFound = form.CodeRefused + 1
	surveyTime   = 700 * time.Millisecond // what a change allows for looking how the members are
	yieldTime    = 3 * time.Second
)

type changeRequest struct {
	Change Change `cbor:"1,keyasint"`
	ID     string `cbor:"2,keyasint,omitempty"`
	Force  bool   `cbor:"3,keyasint,omitempty"`
}

// errElsewhere reports that another node leads: there the change may be made.
var errElsewhere = errors.New("another node leads")

// Make makes a change, here or at the leader. It reports fsm.ErrNotFound for a node that is
// no member, an [autopilot.Refusal] for what would do harm (force overrides most of them), and
// fsm.ErrUnavailable when there is no leader in time.
func (r *Roster) Make(ctx context.Context, c Change, id string, force bool) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	lost := false // an answer was: the change may have been made
	for {
		changed := r.cfg.Changed()
		err := r.try(ctx, c, id, force)
		if lost && c == Remove && errors.Is(err, fsm.ErrNotFound) {
			return nil
		}
		if err == nil || errors.Is(err, fsm.ErrRefused) || errors.Is(err, fsm.ErrNotFound) {
			return err
		}
		lost = lost || errors.Is(err, wire.ErrLost)
		t := time.NewTimer(25 * time.Millisecond)
		select {
		case <-changed:
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return fmt.Errorf("%s node %s: %w: %w", c, id, fsm.ErrUnavailable, err)
		case <-r.cfg.Quit:
			t.Stop()
			return fmt.Errorf("%s node %s: %w: node is stopping", c, id, fsm.ErrUnavailable)
		}
		t.Stop()
	}
}

// try makes the change here if this node leads, and otherwise asks the leader once.
func (r *Roster) try(ctx context.Context, c Change, id string, force bool) error {
	if r.cfg.Leading() != 0 {
		return r.change(ctx, c, id, force)
	}
	leader, address := r.Leader()
	if leader == "" || leader == r.cfg.NodeID {
		return errors.New("no leader")
	}
	err := r.life.port.Caller().Call(ctx, leader, address, methodChange, &changeRequest{c, id, force}, nil)
	var fault *wire.Fault
	if !errors.As(err, &fault) {
		return err
	}
	switch fault.Code {
	case form.CodeNotLeader:
		return errElsewhere
	case codeNotFound:
		return notFound(id)
	case form.CodeRefused:
		return autopilot.Refusal(fault.Detail)
	case wire.NoMethod:
		return autopilot.Refusal(fmt.Sprintf("the release on node %s, which leads, takes no such orders from others: ask that node itself, or upgrade it", leader))
	}
	return err
}

// Yield hands leadership over once, if this node has it: for one that is about to stop.
func (r *Roster) Yield(ctx context.Context) error {
	if !r.on.Load() || r.cfg.Leading() == 0 || r.Voters() < 2 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, yieldTime)
	defer cancel()
	err := r.change(ctx, Transfer, "", false)
	if err != nil && r.cfg.Leading() == 0 {
		return nil // lost instead
	}
	return err
}

func notFound(id string) error {
	return fmt.Errorf("node %q is no member of this cluster: %w", id, fsm.ErrNotFound)
}

func (r *Roster) handleChange(ctx context.Context, from wire.Peer, q *changeRequest) (any, error) {
	if err := r.cfg.Leads(from); err != nil {
		return nil, err
	}
	if r.cfg.Leading() == 0 {
		return nil, &wire.Fault{Code: form.CodeNotLeader, Detail: "not ready to lead"}
	}
	err := r.change(ctx, q.Change, q.ID, q.Force)
	switch {
	case err == nil:
		return nil, nil
	case errors.Is(err, fsm.ErrNotFound):
		return nil, &wire.Fault{Code: codeNotFound, Detail: err.Error()}
	case errors.Is(err, fsm.ErrRefused):
		return nil, &wire.Fault{Code: form.CodeRefused, Detail: err.Error()}
	}
	return nil, &wire.Fault{Code: form.CodeNotLeader, Detail: err.Error()}
}

// change is for the leader.
func (r *Roster) change(ctx context.Context, c Change, id string, force bool) error {
	r.cfg.Changing.Lock()
	defer r.cfg.Changing.Unlock()
	survey, cancel := context.WithTimeout(ctx, surveyTime)
	r.Survey(survey)
	cancel()
	if err := r.load(); err != nil {
		return fmt.Errorf("%s node %s: %w", c, id, err)
	}
	members := r.view()
	m := find(members, id)
	if m == nil && (c != Transfer || id != "") {
		return notFound(id)
	}
	switch c {
	case Transfer:
		return r.transfer(ctx, members, m)
	case Remove:
		return r.remove(ctx, members, m, force)
	case Demote:
		return r.demote(ctx, members, m, force)
	case Promote:
		return r.promote(ctx, m)
	}
	return autopilot.Refusal(fmt.Sprintf("%q is no change that this release knows", c))
}

func find(members []autopilot.Member, id string) *autopilot.Member {
	for i := range members {
		if members[i].ID == id {
			return &members[i]
		}
	}
	return nil
}

// transfer hands leadership to a healthy voter: to, or the one whose log is longest.
func (r *Roster) transfer(ctx context.Context, members []autopilot.Member, to *autopilot.Member) error {
	if to == nil {
		last := uint64(0)
		r.mu.Lock()
		for i := range members {
			m := &members[i]
			if s := r.see(m.ID); m.Voter && m.Healthy && !m.Leader && (to == nil || s.Last > last) {
				to, last = m, s.Last
			}
		}
		r.mu.Unlock()
	}
	switch {
	case to == nil && len(members) == 1:
		return autopilot.Refusal("there is no other member that could lead")
	case to == nil:
		return autopilot.Refusal("no other voter is healthy")
	case to.Leader:
		return nil
	case !to.Voter:
		return autopilot.Refusal(fmt.Sprintf("node %s has no vote and cannot lead", to.ID))
	case !to.Healthy:
		return autopilot.Refusal(fmt.Sprintf("node %s cannot lead now: it %s", to.ID, r.reason(to.ID)))
	}
	s, ok := r.Find(to.ID)
	if !ok {
		return notFound(to.ID)
	}
	if err := wait(ctx, r.life.raft.LeadershipTransferToServer(s.ID, s.Address)); err != nil {
		return fmt.Errorf("transfer leadership to node %s: %w", to.ID, err)
	}
	r.log.Info("leadership handed over", "to", to.ID)
	return nil
}

func (r *Roster) reason(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ill(r.see(id), time.Now())
}

// mayLose is what the settings say of an order, with an exception for force: the last voter stays.
func (r *Roster) mayLose(members []autopilot.Member, m *autopilot.Member, force bool) error {
	if !m.Voter {
		return nil
	}
	s := r.Settings()
	if force {
		for _, o := range members {
			if o.Voter && o.ID != m.ID {
				return nil
			}
		}
	}
	return s.MayTake(members, m.ID)
}

func (r *Roster) remove(ctx context.Context, members []autopilot.Member, m *autopilot.Member, force bool) error {
	if err := r.mayLose(members, m, force); err != nil {
		return err
	}
	if m.Leader { // whoever leads next does it
		return r.handOver(ctx, members)
	}
	if err := form.VoidTokens(ctx, r.cfg.DB, m.ID); err != nil {
		return fmt.Errorf("void the join tokens of node %s: %w", m.ID, err)
	}
	if err := r.Dismiss(ctx, m.ID); err != nil {
		return err
	}
	r.log.Info("member removed", "member", m.ID, "force", force)
	// Not before, or a member without a vote got it back if this leader fell in between. If it falls
	// now, Welcome does it.
	if err := r.setDemoted(ctx, m.ID, false); err != nil {
		r.log.Warn("what operators wanted of a removed member is not forgotten yet", "member", m.ID, "error", err)
	}
	return nil
}

// Welcome forgets what operators wanted of an earlier member of that name: for the leader, before
// it takes in a node that is no member.
func (r *Roster) Welcome(ctx context.Context, id string) error {
	was := false
	err := r.cfg.DB.View(ctx, func(tx *fsm.Tx) (err error) {
		was, err = autopilot.IsDemoted(tx, id)
		return err
	})
	if err != nil || !was {
		return err
	}
	return r.setDemoted(ctx, id, false)
}

func (r *Roster) handOver(ctx context.Context, members []autopilot.Member) error {
	if err := r.transfer(ctx, members, nil); err != nil {
		return err
	}
	return errElsewhere
}

func (r *Roster) demote(ctx context.Context, members []autopilot.Member, m *autopilot.Member, force bool) error {
	if err := r.mayLose(members, m, force); err != nil {
		return err
	}
	if m.Leader {
		return r.handOver(ctx, members)
	}
	// First the wish, so that no leader undoes it or forgets to fulfil it.
	if err := r.setDemoted(ctx, m.ID, true); err != nil {
		return err
	}
	if !m.Voter {
		return nil
	}
	if err := wait(ctx, r.life.raft.DemoteVoter(raft.ServerID(m.ID), 0, r.cfg.Timeout)); err != nil {
		return fmt.Errorf("demote node %s: %w", m.ID, err)
	}
	r.log.Info("member has no vote any more", "member", m.ID)
	return nil
}

func (r *Roster) promote(ctx context.Context, m *autopilot.Member) error {
	if !m.Voter && !m.Healthy {
		return autopilot.Refusal(fmt.Sprintf("node %s cannot vote now: it %s", m.ID, r.reason(m.ID)))
	}
	if err := r.setDemoted(ctx, m.ID, false); err != nil {
		return err
	}
	if m.Voter {
		return nil
	}
	return r.giveVote(ctx, m.ID)
}

func (r *Roster) giveVote(ctx context.Context, id string) error {
	s, ok := r.Find(id)
	if !ok {
		return notFound(id)
	}
	if err := wait(ctx, r.life.raft.AddVoter(s.ID, s.Address, 0, r.cfg.Timeout)); err != nil {
		return fmt.Errorf("promote node %s: %w", id, err)
	}
	r.log.Info("member votes", "member", id, "address", string(s.Address))
	return nil
}

func (r *Roster) setDemoted(ctx context.Context, id string, demoted bool) error {
	err := r.cfg.DB.Update(ctx, func(tx *fsm.Tx) error { return autopilot.SetDemoted(tx, id, demoted) })
	if err != nil {
		return fmt.Errorf("note whether node %s votes: %w", id, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.demoted[id] = demoted
	return nil
}

// wait waits for one of Raft's futures, which may never end when Raft is shut down.
func wait(ctx context.Context, f raft.Future) error {
	done := make(chan error, 1)
	go func() { done <- f.Error() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

package roster

import (
	"context"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/autopilot"
)

// Lead is what a leader does for membership until ctx ends, which is when its term does.
// It carries out what the autopilot decides, one change at a time, and hands leadership over
// when replication to a follower has stopped.
func (r *Roster) Lead(ctx context.Context) {
	r.mu.Lock()
	r.stuck.Begin()
	now := time.Now()
	for _, s := range r.sights { // whoever was silent before may not have been able to reach this node
		s.alive = now
	}
	r.mu.Unlock()
	said := ""
	for {
		t := time.NewTimer(min(lookEvery, max(r.Settings().StabilizeAfter/5, 10*time.Millisecond)))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		r.settle(ctx)
		r.judge(r.Servers())
		d := autopilot.Decide(r.Settings(), r.view(), time.Now())
		if d.Action != autopilot.Nothing {
			r.carryOut(ctx, d)
		} else if d.Reason != said && d.Reason != "" {
			r.log.Info("autopilot waits", "reason", d.Reason)
		}
		said = d.Reason
		r.watchLogs(ctx)
	}
}

// view is the members as the autopilot wants them.
func (r *Roster) view() []autopilot.Member {
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	members := make([]autopilot.Member, len(servers))
	for i, m := range servers {
		s := r.meet(m)
		members[i] = autopilot.Member{
			ID: string(m.ID), Voter: m.Suffrage == raft.Voter, Leader: string(m.ID) == r.cfg.NodeID,
			Demoted: r.demoted[string(m.ID)], Busy: s.Busy && s.err == nil, Healthy: s.healthy, Since: s.since,
		}
		if now.Sub(s.alive) > recent {
			members[i].Silent = s.alive
		}
	}
	return members
}

// carryOut makes one change unless things have changed since it was decided.
func (r *Roster) carryOut(ctx context.Context, d autopilot.Decision) {
	r.cfg.Changing.Lock()
	defer r.cfg.Changing.Unlock()
	if err := r.load(); err != nil { // what operators decided may be news since
		return
	}
	members := r.view()
	if again := autopilot.Decide(r.Settings(), members, time.Now()); ctx.Err() != nil || again.Action != d.Action || again.ID != d.ID {
		return
	}
	r.log.Info("autopilot", "action", d.Action.String(), "member", d.ID, "reason", d.Reason)
	m := find(members, d.ID)
	var err error
	switch d.Action {
	case autopilot.Promote:
		err = r.giveVote(ctx, d.ID)
	case autopilot.Demote:
		err = r.demote(ctx, members, m, true) // as decided
	case autopilot.Remove:
		err = r.remove(ctx, members, m, false) // the decision was stricter
	}
	if err != nil && ctx.Err() == nil {
		r.log.Warn("autopilot: change not made yet", "action", d.Action.String(), "member", d.ID, "error", err)
	}
}

// watchLogs looks whether the logs of the followers grow.
func (r *Roster) watchLogs(ctx context.Context) {
	last, applied := r.life.raft.LastIndex(), r.cfg.DB.Position().Index
	servers := r.Servers()
	var followers []autopilot.Follower
	r.mu.Lock()
	now := time.Now()
	for _, m := range servers {
		if string(m.ID) == r.cfg.NodeID {
			continue
		}
		s := r.see(string(m.ID))
		f := autopilot.Follower{ID: string(m.ID), Last: s.Last, Pending: s.Last < last, Answers: s.err == nil && now.Sub(s.at) <= recent, Busy: s.Busy}
		if s.Last == 0 { // an older release
			f.Last, f.Pending = s.Applied, s.Applied < applied
		}
		followers = append(followers, f)
	}
	found, hand := r.stuck.Look(now, followers)
	r.mu.Unlock()
	for _, id := range found {
		r.log.Error("replication to a member has stopped although it answers", "member", id, "hands_over", hand)
	}
	if !hand {
		return
	}
	r.handed.Add(1)
	if err := r.change(ctx, Transfer, "", false); err != nil && ctx.Err() == nil {
		r.log.Warn("leadership could not be handed over", "error", err)
	}
}

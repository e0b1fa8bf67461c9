package roster

import (
	"context"
	"sync"
	"time"

	"github.com/hashicorp/raft"

	"github.com/quis-idp/quis/cluster/autopilot"
	"github.com/quis-idp/quis/cluster/stamp"
	"github.com/quis-idp/quis/fsm"
)

const (
	askEvery   = 500 * time.Millisecond // how often a member is asked how far it is
	askTimeout = time.Second
	lookEvery  = 100 * time.Millisecond // how often the loop looks whom to ask
	recent     = 2 * time.Second        // a sign of life older than this is none
)

// A sight is what this node has seen of one member.
type sight struct {
	Position
	at      time.Time // when it was asked what it answered; zero: it never did
	err     error     // of the latest try
	tried   time.Time // when that began
	done    chan struct{}
	lag     uint64
	clock   stamp.Reading
	alive   time.Time // latest sign of life, also by gossip
	voted   bool      // it had a vote when this node last looked
	healthy bool
	since   time.Time // since when it is healthy, or is not
}

// observe asks the members how they are until the node stops.
func (r *Roster) observe() {
	for {
		_ = r.load() // until the next time what was read before counts
		servers := r.Servers()
		r.forget(servers)
		pause := lookEvery
		for _, s := range servers {
			every := askEvery
			if s.Suffrage != raft.Voter && r.cfg.Leading() != 0 {
				every = min(every, max(r.Settings().StabilizeAfter/5, 10*time.Millisecond))
			}
			pause = min(pause, every)
			if r.due(string(s.ID), every) {
				go r.ask(r.life.ctx, s)
			}
		}
		r.judge(servers)
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-r.cfg.Quit:
			t.Stop()
			return
		}
	}
}

// load reads what operators have decided, as it stands in this node's store.
func (r *Roster) load() error {
	servers := r.Servers()
	demoted := map[string]bool{}
	var s autopilot.Settings
	err := r.cfg.DB.View(r.life.ctx, func(tx *fsm.Tx) (err error) {
		for _, m := range servers {
			if demoted[string(m.ID)], err = autopilot.IsDemoted(tx, string(m.ID)); err != nil {
				return err
			}
		}
		s, err = autopilot.Load(tx)
		return err
	})
	if err != nil {
		return err // the store is being closed, or replaced
	}
	if r.cfg.PromoteAfter > 0 {
		s.StabilizeAfter = r.cfg.PromoteAfter
	}
	if r.cfg.DeadAfter > 0 {
		s.DeadAfter = r.cfg.DeadAfter
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.settings, r.demoted = s, demoted
	return nil
}

func (r *Roster) forget(servers []raft.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	members := map[string]bool{}
	for _, s := range servers {
		members[string(s.ID)] = true
	}
	for id := range r.sights {
		if !members[id] {
			delete(r.sights, id)
		}
	}
}

// see returns what is known of a member; r.mu is held.
func (r *Roster) see(id string) *sight {
	s := r.sights[id]
	if s == nil {
		now := time.Now()
		s = &sight{alive: now, since: now}
		r.sights[id] = s
	}
	return s
}

// meet is see for a member of the configuration. One that had a vote and has none now
// may have been removed in between and come back with an empty disk: nothing that was
// seen of the former is true of it. r.mu is held.
func (r *Roster) meet(m raft.Server) *sight {
	id, votes := string(m.ID), m.Suffrage == raft.Voter
	s := r.see(id)
	if s.voted && !votes {
		delete(r.sights, id) // a question under way is about the former, too
		s = r.see(id)
	}
	s.voted = votes
	return s
}

func (r *Roster) due(id string, every time.Duration) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.see(id)
	return s.done == nil && time.Since(s.tried) >= every
}

// ask asks a member how far it is and notes the answer. A question that is under way
// already is not asked twice: its end is waited for.
func (r *Roster) ask(ctx context.Context, m raft.Server) {
	id := string(m.ID)
	r.mu.Lock()
	s := r.see(id)
	if s.done != nil {
		under := s.done
		r.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
		}
		return
	}
	begun := time.Now()
	done := make(chan struct{})
	s.done, s.tried = done, begun
	r.mu.Unlock()

	reference := r.reference(id)
	var p Position
	var err error
	if id == r.cfg.NodeID {
		p = r.here()
	} else {
		ctx, cancel := context.WithTimeout(r.life.ctx, askTimeout)
		err = r.life.port.Caller().Call(ctx, id, string(m.Address), MethodPosition, &struct{}{}, &p)
		cancel()
	}
	ended := time.Now()

	r.mu.Lock()
	s.err, s.done = err, nil
	if err == nil {
		if p.Applied < s.Applied { // it has lost data, or begins anew
			s.healthy, s.since = false, ended
		}
		s.Position, s.at, s.alive = p, begun, ended
		s.lag = reference - min(reference, p.Applied)
		if p.Clock != 0 {
			r.noteClock(s, stamp.Read(time.UnixMicro(p.Clock), begun, ended))
		}
	}
	r.mu.Unlock()
	close(done)
	if err == nil && id != r.cfg.NodeID {
		r.hearOfRemoval(&p)
	}
}

// reference is how far a member should be: as far as the leader, or this node, was.
func (r *Roster) reference(id string) uint64 {
	leader, _ := r.Leader()
	at := r.cfg.DB.Position().Index
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sights[leader]; s != nil && leader != id {
		at = max(at, s.Applied)
	}
	return at
}

// hearOfRemoval ends a node that was removed while it could not hear of it: Raft tells
// only those who are still members. Only the word of a leader counts whose term is no older than
// what this node has seen, and only when nobody else confirms this node.
func (r *Roster) hearOfRemoval(p *Position) {
	if !p.Stranger || r.cfg.Stale() < 5*r.cfg.Heartbeat {
		return
	}
	if p.Term == 0 || p.Term >= r.life.raft.CurrentTerm() { // 0: an older release
		r.cfg.Removed()
	}
}

// judge decides who is healthy, and since when.
func (r *Roster) judge(servers []raft.Server) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	for _, m := range servers {
		s := r.meet(m)
		if r.cfg.Alive(string(m.ID)) {
			s.alive = now
		}
		if healthy := r.ill(s, now) == ""; healthy != s.healthy {
			s.healthy, s.since = healthy, now
		}
	}
}

// ill says in words why a member is not healthy; r.mu is held.
func (r *Roster) ill(s *sight, now time.Time) string {
	switch {
	case s.at.IsZero() && s.err == nil:
		return "has not been asked yet"
	case s.at.IsZero() && now.Sub(s.since) < recent:
		return "has not answered yet"
	case s.at.IsZero():
		return "has not answered yet, for " + ago(now.Sub(s.since))
	case s.err != nil || now.Sub(s.at) > recent:
		return "has not answered for " + ago(now.Sub(s.at))
	case s.Busy:
		return "is being installed from a snapshot"
	case s.Apart:
		return "keeps apart until its state is that of the others again"
	case s.lag > r.settings.MaxLag:
		return "is catching up"
	}
	return ""
}

// ago writes how long something is ago so that the first second is not none.
func ago(d time.Duration) string {
	if d < 2*time.Second {
		return d.Round(100 * time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

// Survey asks every member anew, for at most as long as ctx lasts, and judges them.
func (r *Roster) Survey(ctx context.Context) {
	r.askAll(ctx, r.Servers(), func(raft.Server) bool { return true })
}

// askAll asks those of the servers that want says, all at once, for at most as long as ctx
// lasts, and judges all of them.
func (r *Roster) askAll(ctx context.Context, servers []raft.Server, want func(raft.Server) bool) {
	r.mu.Lock()
	for _, s := range servers {
		r.meet(s) // first, or what is asked of a member that has just lost its vote would be forgotten
	}
	r.mu.Unlock()
	var all sync.WaitGroup
	for _, s := range servers {
		if !want(s) {
			continue
		}
		all.Go(func() {
			asked := make(chan struct{})
			go func() {
				r.ask(ctx, s)
				close(asked)
			}()
			select {
			case <-asked:
			case <-ctx.Done():
			}
		})
	}
	all.Wait()
	r.judge(servers)
}

// GossipOf returns where a member said that it gossips, or nothing.
func (r *Roster) GossipOf(id string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.sights[id]; s != nil && s.err == nil {
		return s.Gossip
	}
	return ""
}

// Silent returns the addresses of the members that do not answer.
func (r *Roster) Silent() []string {
	servers := r.Servers()
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []string
	for _, m := range servers {
		if s := r.sights[string(m.ID)]; s != nil && s.err != nil && string(m.ID) != r.cfg.NodeID {
			out = append(out, string(m.Address))
		}
	}
	return out
}

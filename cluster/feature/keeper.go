package feature

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// Config says whose announcements are kept, and how the others are asked.
type Config struct {
	NodeID   string
	Version  string
	Features []Feature // what this node reads; see [Known]
	DB       *fsm.DB
	Logger   *slog.Logger
	Every    time.Duration // how often to look; default 2 s

	// Members are the nodes of the cluster as Raft has them now.
	Members func() []string
	// Ask asks a member what it reads, itself excepted. An answer without names is that
	// of a release that does not know the question; an error, that there was no answer.
	Ask func(ctx context.Context, member string) ([]string, error)
	// Admission is held by whoever takes a new member in, from the check that it reads
	// what is active until it is a member.
	Admission sync.Locker
	// Fatal is told that something is active that this node does not read.
	Fatal func(error)
}

// A Keeper keeps one node's announcement, and on the leader those of all.
type Keeper struct {
	cfg    Config
	reads  []string
	active atomic.Pointer[map[string]bool]
}

// NewKeeper returns a keeper that has not looked yet.
func NewKeeper(cfg Config) *Keeper {
	if cfg.Every <= 0 {
		cfg.Every = 2 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	k := &Keeper{cfg: cfg, reads: Names(cfg.Features)}
	k.active.Store(&map[string]bool{})
	return k
}

// Reads is what this node announces, sorted.
func (k *Keeper) Reads() []string { return k.reads }

// Allows is [Allows] for the store as it stands here.
func (k *Keeper) Allows(ctx context.Context, who string, reads []string) error {
	return k.cfg.DB.View(ctx, func(tx *fsm.Tx) error { return Allows(tx, who, reads) })
}

// Check is Allows for this binary.
func (k *Keeper) Check(ctx context.Context) error {
	return k.Allows(ctx, "release "+k.cfg.Version, k.reads)
}

// Active is [Active] without a transaction, as of the last look: yes may come late,
// which is harmless. For paths that are too hot for a read.
func (k *Keeper) Active(name string) bool { return (*k.active.Load())[name] }

// Run announces what this node reads, again whenever that does not stand in the store
// (after a restore, say), and looks whether it still reads what is active, until ctx ends.
func (k *Keeper) Run(ctx context.Context) {
	for {
		same, err := k.look(ctx)
		switch {
		case errors.Is(err, ErrTooOld):
			k.cfg.Fatal(err)
			return
		case err != nil:
			k.cfg.Logger.DebugContext(ctx, "announcements not read", "error", err)
		case !same && slices.Contains(k.cfg.Members(), k.cfg.NodeID):
			if err := Announce(ctx, k.cfg.DB, k.cfg.NodeID, k.cfg.Version, k.reads); err != nil {
				k.cfg.Logger.DebugContext(ctx, "not announced yet", "error", err)
			}
		}
		if !pause(ctx, k.cfg.Every/4) {
			return
		}
	}
}

func (k *Keeper) look(ctx context.Context) (same bool, err error) {
	active := map[string]bool{}
	err = k.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		if err := Allows(tx, "release "+k.cfg.Version, k.reads); err != nil {
			return err
		}
		for a, err := range activations.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			active[a.Name] = true
		}
		var err error
		same, err = announced(tx, &Node{ID: k.cfg.NodeID, Version: k.cfg.Version, Reads: k.reads})
		if len(k.reads) == 0 { // a trial of a release that knows nothing of all this
			same = true
		}
		return err
	})
	if err == nil {
		k.active.Store(&active)
	}
	return same, err
}

// Lead is the leader's part, until its term ends: term is fenced.
func (k *Keeper) Lead(term context.Context) {
	for {
		if err := k.tidy(term); err != nil && term.Err() == nil {
			k.cfg.Logger.DebugContext(term, "announcements not tidied", "error", err)
		}
		for _, name := range k.due(term) {
			if err := k.activate(term, name); err != nil && term.Err() == nil {
				k.cfg.Logger.DebugContext(term, "feature not activated", "feature", name, "error", err)
			}
		}
		if !pause(term, k.cfg.Every) {
			return
		}
	}
}

// due lists what waits to be activated.
func (k *Keeper) due(ctx context.Context) (names []string) {
	err := k.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		names = nil
		for _, f := range k.cfg.Features {
			is, err := due(tx, f)
			if err != nil {
				return err
			}
			if is {
				names = append(names, f.Name)
			}
		}
		return nil
	})
	if err != nil {
		k.cfg.Logger.DebugContext(ctx, "features not looked at", "error", err)
	}
	return names
}

// tidy removes the rows of nodes that are no members, and of members that run a
// release that announces nothing.
func (k *Keeper) tidy(ctx context.Context) error {
	var rows []Node
	err := k.cfg.DB.View(ctx, func(tx *fsm.Tx) error {
		rows = rows[:0]
		for n, err := range nodes.List(tx, fsm.Global) {
			if err != nil {
				return err
			}
			rows = append(rows, *n)
		}
		return nil
	})
	if err != nil {
		return err
	}
	members := k.cfg.Members()
	var gone []string
	for _, n := range rows {
		if !slices.Contains(members, n.ID) {
			gone = append(gone, n.ID)
			continue
		}
		if n.ID == k.cfg.NodeID {
			continue
		}
		if reads, err := k.ask(ctx, n.ID); err == nil && len(reads) == 0 {
			gone = append(gone, n.ID)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	k.cfg.Logger.InfoContext(ctx, "announcements that no longer hold removed", "members", gone)
	return k.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		for _, id := range gone {
			if err := nodes.Delete(tx, fsm.Global, fsm.K(id)); err != nil {
				return err
			}
		}
		return nil
	})
}

// activate records that a feature is in use, if all members read it, now.
func (k *Keeper) activate(ctx context.Context, name string) error {
	k.cfg.Admission.Lock()
	defer k.cfg.Admission.Unlock()
	members := k.cfg.Members()
	for _, id := range members {
		if id == k.cfg.NodeID {
			continue
		}
		if reads, err := k.ask(ctx, id); err != nil || !slices.Contains(reads, name) {
			return err
		}
	}
	done := false
	err := k.cfg.DB.Update(ctx, func(tx *fsm.Tx) error {
		done = false
		if all, err := All(tx, members, name); err != nil || !all {
			return err
		}
		if is, err := Active(tx, name); err != nil || is {
			return err
		}
		done = true
		return activations.Put(tx, &Activation{Name: name, Since: tx.Now(), Version: k.cfg.Version})
	})
	if err == nil && done {
		k.cfg.Logger.InfoContext(ctx, "feature activated: no older release can join or start any more", "feature", name)
	}
	return err
}

func (k *Keeper) ask(ctx context.Context, member string) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	return k.cfg.Ask(ctx, member)
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

package house

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
)

// patience bounds how long the cluster may take to be whole again after a round, on a
// slow machine.
const patience = 60 * time.Second

// Do does what a round says, mends everything, and waits until all is well again. What
// could not be mended is returned.
func (h *House) Do(ctx context.Context, round Round) error {
	pause(ctx, round.Rest)
	places, err := h.order(ctx)
	if err != nil {
		return err
	}
	errs := make([]error, len(round.Faults))
	var all sync.WaitGroup
	for i, f := range round.Faults {
		all.Go(func() {
			if errs[i] = h.inject(ctx, f, places); errs[i] != nil {
				errs[i] = fmt.Errorf("%s: %w", f.Kind, errs[i])
			}
		})
	}
	all.Wait()
	return errors.Join(errors.Join(errs...), h.mend(ctx))
}

// mend undoes every fault and waits.
func (h *House) mend(ctx context.Context) error {
	h.Net.Heal()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, r := range h.Rooms {
		r.clock.Store(0)
		if err := r.died(); err != nil && r.Node() != nil {
			h.blame("no node gives up", r.Name, "%v", err)
			if err := r.Crash(ctx, 100, 0); err != nil {
				return err
			}
		}
		if r.Node() == nil {
			if err := r.Start(ctx); err != nil {
				return err
			}
		}
	}
	if err := h.WaitReady(ctx); err != nil {
		return fmt.Errorf("not whole again after %v: %w", patience, err)
	}
	return nil
}

func (h *House) inject(ctx context.Context, f Fault, places []*Room) error {
	draw := rand.New(rand.NewPCG(f.Draw, 4))
	r := places[f.Place]
	other, third := places[(f.Place+1)%3], places[(f.Place+2)%3]
	switch f.Kind {
	case Kill:
		return h.bounce(ctx, f, 100, r)
	case PowerLoss:
		return h.bounce(ctx, f, draw.IntN(60), r)
	case AllPowerLoss:
		return h.bounce(ctx, f, draw.IntN(60), places...)
	case Restart:
		if err := r.Stop(ctx); err != nil {
			return err
		}
		return r.Start(ctx)
	case Symmetric:
		h.Net.Isolate(r.Place)
	case Deaf:
		h.Net.Cut(other.Place, r.Place)
		h.Net.Cut(third.Place, r.Place)
	case Mute:
		h.Net.Cut(r.Place, other.Place)
		h.Net.Cut(r.Place, third.Place)
	case Bridge: // r hears and reaches both, who do not reach each other
		h.Net.Cut(other.Place, third.Place)
		h.Net.Cut(third.Place, other.Place)
	case Delays:
		h.Net.Delay(time.Duration(10+draw.IntN(60))*time.Millisecond, 40*time.Millisecond)
	case Resets:
		h.Net.Reset(0.005 + 0.02*draw.Float64())
	case ClockJump:
		h.jump()
		r.clock.Store(int64([]time.Duration{-5 * time.Minute, 5 * time.Minute}[draw.IntN(2)]))
	case Storm:
		return h.storm(ctx, f)
	case Rejoin:
		return h.rejoin(ctx, f, places[1+f.Place%2])
	case Demotion:
		return h.demote(ctx, f, places[1+f.Place%2])
	case InSnapshot:
		return h.inSnapshot(ctx, f, r, draw)
	case InInstall:
		return h.inInstall(ctx, f, places[1+f.Place%2], draw)
	case KeyRotation:
		return h.rotateKeys(ctx)
	default:
		return fmt.Errorf("no such fault: %q", f.Kind)
	}
	pause(ctx, f.Hold)
	return nil
}

// bounce crashes nodes at once and starts them again after a while.
func (h *House) bounce(ctx context.Context, f Fault, keep int, rooms ...*Room) error {
	errs := make([]error, len(rooms))
	var all sync.WaitGroup
	for i, r := range rooms {
		all.Go(func() {
			if errs[i] = r.Crash(ctx, keep, f.Draw+uint64(i)); errs[i] == nil {
				pause(ctx, f.Hold/2)
				errs[i] = r.Start(ctx)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// storm hands leadership on again and again, from whatever node is asked.
func (h *House) storm(ctx context.Context, f Fault) error {
	end := time.Now().Add(f.Hold)
	for i := 0; time.Now().Before(end) && ctx.Err() == nil; i++ {
		if l := h.Leader(); l != nil {
			one, cancel := context.WithTimeout(ctx, 3*time.Second)
			if err := l.Node().Cluster().Transfer(one, ""); err != nil {
				h.logf("transfer: %v", err)
			}
			cancel()
		}
		pause(ctx, 50*time.Millisecond)
	}
	return nil
}

// rejoin removes a follower, which must notice and end, and lets it come back empty.
func (h *House) rejoin(ctx context.Context, f Fault, r *Room) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := until(ctx, func() error {
		l := h.Leader()
		if l == nil {
			return errors.New("nobody leads")
		}
		err := l.Node().Cluster().Remove(ctx, r.Name, false)
		if errors.Is(err, fsm.ErrNotFound) {
			return nil // the answer to an earlier attempt was lost
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove %s: %w", r.Name, err)
	}
	err = until(ctx, func() error {
		if r.died() == nil {
			return errors.New("it goes on")
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s was removed: %w", r.Name, err)
	}
	if err := r.Crash(ctx, 100, f.Draw); err != nil {
		return err
	}
	if err := r.Wipe(); err != nil {
		return err
	}
	return r.Start(ctx)
}

// demote takes a follower's vote away for a while.
func (h *House) demote(ctx context.Context, f Fault, r *Room) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	set := func(votes bool) error {
		return until(ctx, func() error {
			l := h.Leader()
			if l == nil {
				return errors.New("nobody leads")
			}
			c := l.Node().Cluster()
			for _, m := range c.Status(ctx).Members {
				if m.ID == r.Name && m.Voter == votes {
					return nil
				}
			}
			err := fmt.Errorf("%s votes: %v", r.Name, !votes)
			if votes {
				return errors.Join(err, c.Promote(ctx, r.Name))
			}
			return errors.Join(err, c.Demote(ctx, r.Name, false))
		})
	}
	if err := set(false); err != nil {
		return err
	}
	pause(ctx, f.Hold)
	return set(true)
}

// inSnapshot pulls the plug while the store writes a table.
func (h *House) inSnapshot(ctx context.Context, f Fault, r *Room, draw *rand.Rand) error {
	select {
	case <-r.writing: // of before
	default:
	}
	select {
	case <-r.writing:
	case <-time.After(5 * time.Second):
		h.logf("%s wrote no table for 5 s", r.Name)
	case <-ctx.Done():
	}
	return h.bounce(ctx, f, draw.IntN(60), r)
}

// inInstall leaves a follower so far behind that it needs a snapshot, and kills it
// while that is under way.
func (h *House) inInstall(ctx context.Context, f Fault, r *Room, draw *rand.Rand) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	behind := uint64(0)
	if n := r.Node(); n != nil {
		behind = n.DB().Position().Index
	}
	if err := r.Crash(ctx, 100, f.Draw); err != nil {
		return err
	}
	err := until(ctx, func() error {
		if l := h.Leader(); l == nil || l.Node().DB().Position().Index < behind+400 {
			return errors.New("nobody writes")
		}
		return nil
	})
	if err != nil {
		return err
	}
	for range 2 {
		if err := r.Start(ctx); err != nil {
			return err
		}
		pause(ctx, time.Duration(draw.IntN(250))*time.Millisecond)
		if err := r.Crash(ctx, 100, f.Draw); err != nil {
			return err
		}
	}
	return r.Start(ctx)
}

// rotateKeys publishes a new signing key and lets enough time pass for it to sign: all
// clocks together go on by more than the time for which others may cache the keys.
func (h *House) rotateKeys(ctx context.Context) error {
	h.jump()
	l := h.Leader()
	if l == nil {
		return nil
	}
	admin, err := client.New(l.URL, Token)
	if err != nil {
		return err
	}
	if _, err := admin.RotateKeys(ctx, "ES256", false); err != nil {
		h.logf("rotate keys: %v", err)
		return nil
	}
	ctx = identity.WithActor(ctx, identity.Actor{Kind: identity.ActorSystem})
	for range 3 { // published, settled, active: the duty would take 15 s for each
		for _, r := range h.Rooms {
			r.clock.Add(int64(11 * time.Minute))
		}
		l := h.Leader()
		if l == nil || l.Node() == nil {
			return nil
		}
		term, err := l.Node().Cluster().Lead(ctx)
		if err != nil {
			return err
		}
		if err := l.Node().Keys().Rotate(term, l.Node().Cluster().MinApplied); err != nil {
			h.logf("rotate keys: %v", err)
		}
		pause(ctx, 100*time.Millisecond)
	}
	return nil
}

// jump notes that clocks are no longer to be relied on.
func (h *House) jump() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.jumped = true
}

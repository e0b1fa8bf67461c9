package rootkey

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
)

// A Member is what one node says about its root keys.
type Member struct {
	ID      string
	Keys    []string // fingerprints, the one in use first
	Waiting string   // what the change waits for there, in words; empty: nothing

	revision uint64
}

// A Status says how far a change of the root key is.
type Status struct {
	InUse   string   // fingerprint of the key that the node asked uses
	Others  []string // further ones that it accepts
	Former  []string // ones that everything was under before the latest change
	Members []Member
	Items   []Item
	Wrapped bool // every member uses InUse, and everything is wrapped under it
	// Droppable: the other keys may go from every file; nothing needs them any more.
	Droppable bool
	Step      string // what comes next, in words
}

func look(m form.MemberStand) Member {
	out := Member{ID: m.Node}
	switch {
	case m.Err != nil:
		out.Waiting = "it does not answer: start it, or remove it from the cluster"
	case m.Stand == nil || len(m.Stand.Roots) == 0:
		out.Waiting = "its release knows one root key only: upgrade it"
	default:
		out.Keys, out.revision = m.Stand.Roots, m.Stand.Revision
	}
	return out
}

// Status asks every member, for at most a second.
func (k *Keeper) Status(ctx context.Context) (Status, error) {
	s := Status{InUse: k.Root.ID(), Others: k.Root.IDs()[1:]}
	var former []string
	var revision uint64
	err := k.DB.Read(ctx, func(tx *fsm.Tx) error {
		items, roots, at, err := k.items(tx)
		s.Items, former, revision = items, roots.Former, at
		return err
	})
	if err != nil {
		return s, fmt.Errorf("root key: %w", err)
	}
	s.Former = former
	s.Wrapped = wrapped(s.Items, s.InUse)
	for _, m := range k.Node.Stands(ctx) {
		member := look(m)
		if member.Waiting == "" && member.revision < revision {
			member.Waiting = "it has not taken the authority over yet, as it is wrapped now"
		}
		s.Members = append(s.Members, member)
		s.Wrapped = s.Wrapped && member.Waiting == "" && member.Keys[0] == s.InUse
	}
	s.Droppable = s.Wrapped && s.several()
	s.Step = s.step(former)
	return s, nil
}

// several says whether a member names more than one key.
func (s *Status) several() bool {
	return slices.ContainsFunc(s.Members, func(m Member) bool { return len(m.Keys) > 1 })
}

// Lacking returns the members that do not name the key.
func (s *Status) Lacking(id string) (out []string) {
	for _, m := range s.Members {
		if !slices.Contains(m.Keys, id) {
			out = append(out, m.ID)
		}
	}
	return out
}

func (s *Status) step(former []string) string {
	var all, waits []string
	for _, m := range s.Members {
		if m.Waiting != "" {
			waits = append(waits, "node "+m.ID+": "+m.Waiting)
		}
		for _, id := range m.Keys {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
	}
	if len(all) < 2 && s.Wrapped {
		return "There is one root key, and everything is wrapped under it. To replace it, begin with quis root-key add."
	}
	if len(waits) > 0 {
		return "Waiting for " + strings.Join(waits, "; ") + "."
	}
	for _, m := range s.Members {
		for _, id := range m.Keys[:1] {
			if lack := s.Lacking(id); len(lack) > 0 {
				return fmt.Sprintf("Root key %s is in use on node %s, but not known to %s: put the same root key file there and restart.", id, m.ID, strings.Join(lack, ", "))
			}
		}
	}
	old := slices.ContainsFunc(all, func(id string) bool { return id != s.InUse && slices.Contains(former, id) })
	for _, id := range all {
		if lack := s.Lacking(id); len(lack) > 0 && !old {
			return fmt.Sprintf("Root key %s is not known to %s yet: put the same root key file there and restart.", id, strings.Join(lack, ", "))
		}
	}
	switch {
	case slices.ContainsFunc(s.Members, func(m Member) bool { return m.Keys[0] != s.InUse }):
		return "Not all nodes use the same root key yet: run quis root-key use on the others as well, and restart them one by one."
	case !s.Wrapped:
		return "The leader is about to wrap everything under root key " + s.InUse + ": wait some seconds."
	case old:
		return "Everything is wrapped under root key " + s.InUse + ": run quis root-key drop on every node that names another, and restart it."
	}
	return "Every node knows the next root key: run quis root-key use on every node, and restart them one by one."
}

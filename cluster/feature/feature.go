package feature

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quis-idp/quis/fsm"
)

// A Node is what one member announces about itself.
type Node struct {
	ID      string   `cbor:"1,keyasint,omitempty"`
	Version string   `cbor:"2,keyasint,omitempty"` // of its program, for operators
	Reads   []string `cbor:"3,keyasint,omitempty"` // names of features, sorted
}

// An Activation says that a feature is in use and since when; it is never taken back.
type Activation struct {
	Name    string    `cbor:"1,keyasint,omitempty"`
	Since   time.Time `cbor:"2,keyasint,omitempty"`
	Version string    `cbor:"3,keyasint,omitempty"` // of the leader that activated it
}

var (
	nodes = fsm.NewTable(155, "node_features", fsm.Spec[Node]{Key: func(n *Node) fsm.Key { return fsm.K(n.ID) }, Own: true})

	activations = fsm.NewTable(157, "active_features", fsm.Spec[Activation]{Key: func(a *Activation) fsm.Key { return fsm.K(a.Name) }, Own: true})
)

// Tables are what this room keeps in the store.
var Tables = []fsm.Definition{nodes, activations, wishes}

// Announce writes what the node reads, if that is not what stands there.
func Announce(ctx context.Context, db *fsm.DB, node, version string, reads []string) error {
	want := &Node{ID: node, Version: version, Reads: slices.Sorted(slices.Values(reads))}
	err := db.Update(ctx, func(tx *fsm.Tx) error {
		same, err := announced(tx, want)
		if err != nil || same {
			return err
		}
		return nodes.Put(tx, want)
	})
	if err != nil {
		return fmt.Errorf("announce what node %s reads: %w", node, err)
	}
	return nil
}

func announced(tx *fsm.Tx, want *Node) (bool, error) {
	got, err := nodes.Get(tx, fsm.Global, fsm.K(want.ID))
	if errors.Is(err, fsm.ErrNotFound) {
		return false, nil
	}
	return err == nil && got.Version == want.Version && slices.Equal(got.Reads, want.Reads), err
}

// All reports whether every one of the members announces that it reads the feature.
func All(tx *fsm.Tx, members []string, name string) (bool, error) {
	missing, err := Missing(tx, members, name)
	return err == nil && len(missing) == 0 && len(members) > 0, err
}

// Missing returns the members that do not announce the feature.
func Missing(tx *fsm.Tx, members []string, name string) ([]string, error) {
	var missing []string
	for _, id := range members {
		n, err := nodes.Get(tx, fsm.Global, fsm.K(id))
		if err != nil && !errors.Is(err, fsm.ErrNotFound) {
			return nil, err
		}
		if err != nil || !slices.Contains(n.Reads, name) {
			missing = append(missing, id)
		}
	}
	return missing, nil
}

// Newest returns the revision of the newest announcement of a member, which is another one after
// every up- or downgrade.
func Newest(tx *fsm.Tx, members []string) (newest uint64, err error) {
	for _, id := range members {
		rev, err := nodes.Revision(tx, fsm.Global, fsm.K(id))
		if err != nil {
			return 0, err
		}
		newest = max(newest, rev)
	}
	return newest, nil
}

// Active reports whether the feature is in use, so that its format may be written in
// this very transaction: one point read, verified with the rest.
func Active(tx *fsm.Tx, name string) (bool, error) {
	return activations.Has(tx, fsm.Global, fsm.K(name))
}

// Allows returns an error for an operator, of kind [ErrTooOld], if something is active
// that who ("release 0.1.0") does not read: that binary must neither start nor join.
func Allows(tx *fsm.Tx, who string, reads []string) error {
	var beyond []string
	for a, err := range activations.List(tx, fsm.Global) {
		if err != nil {
			return err
		}
		if !slices.Contains(reads, a.Name) {
			beyond = append(beyond, fmt.Sprintf("%s (since %s, by release %s)", a.Name, a.Since.Format(time.DateOnly), a.Version))
		}
	}
	if len(beyond) == 0 {
		return nil
	}
	return fmt.Errorf("the cluster uses %s, which %s does not read: run the newer release there: %w",
		strings.Join(beyond, ", "), who, ErrTooOld)
}

// ErrTooOld is the kind of what Allows reports.
var ErrTooOld = errors.New("this release is too old for the cluster's data")

// A Report is what operators see.
type Report struct {
	Active  []Activation        // by name
	Nodes   []Node              // members in the order given; no Reads: announces nothing
	Waiting map[string][]string // of each feature known here and not active: which members lack it
	Skew    string              // in words, empty if all members announce the same release
}

// Look reports on the members as this replica knows them, and on the features that this binary reads.
func Look(tx *fsm.Tx, members []string, features []Feature) (Report, error) {
	r := Report{Waiting: map[string][]string{}}
	for a, err := range activations.List(tx, fsm.Global) {
		if err != nil {
			return r, err
		}
		r.Active = append(r.Active, *a)
	}
	releases := map[string][]string{}
	for _, id := range members {
		n, err := nodes.Get(tx, fsm.Global, fsm.K(id))
		if errors.Is(err, fsm.ErrNotFound) {
			n, err = &Node{ID: id}, nil
		}
		if err != nil {
			return r, err
		}
		r.Nodes = append(r.Nodes, *n)
		releases[n.release()] = append(releases[n.release()], id)
	}
	for _, name := range gated(features) {
		if slices.ContainsFunc(r.Active, func(a Activation) bool { return a.Name == name }) {
			continue
		}
		missing, err := Missing(tx, members, name)
		if err != nil {
			return r, err
		}
		r.Waiting[name] = missing
	}
	r.Skew = skew(releases)
	return r, nil
}

// release tells nodes apart by what they announce: versions are equal while a release is made.
func (n *Node) release() string {
	if len(n.Reads) == 0 {
		return "no release announced yet" // it is joining, or older than announcements
	}
	return "release " + n.Version
}

func skew(releases map[string][]string) string {
	if len(releases) < 2 {
		return ""
	}
	var parts []string
	for release, ids := range releases {
		parts = append(parts, release+" on "+strings.Join(ids, ", "))
	}
	slices.Sort(parts)
	return strings.Join(parts, "; ")
}

package rootkey

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/form"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A Keeper is a node's part in changes of the root key.
type Keeper struct {
	Root   *seal.RootKey
	DB     *fsm.DB
	Node   *cluster.Node
	Logger *slog.Logger
	// Told is called in the transaction that wraps everything under the key now; nil: nobody is.
	Told func(tx *fsm.Tx, now string, former []string) error

	said string
}

// An Item is something that hangs on the root key.
type Item struct {
	Name string
	Keys []string // fingerprints of the root keys that open it; empty: one that is not known here
}

// items looks at all that hangs on the root key.
func (k *Keeper) items(tx *fsm.Tx) (out []Item, roots seal.Roots, revision uint64, err error) {
	if roots, err = seal.RootsOf(tx); err != nil {
		return nil, roots, 0, err
	}
	out = append(out, Item{"sealing keys", roots.All})
	row, err := form.Look(tx)
	if err != nil {
		return nil, roots, 0, err
	}
	if row != nil {
		ids := slices.Compact(row.Openers(k.Root))
		if len(ids) > 1 {
			ids = nil // the two of a rotation differ
		}
		out, revision = append(out, Item{"cluster authority", ids}), row.Revision
	}
	id, ok, err := backup.Opener(tx, k.Root)
	if ok && id != "" { // one that nobody opens has to be given again, and hinders nothing
		out = append(out, Item{"secret of the backup target", []string{id}})
	}
	return out, roots, revision, err
}

// Run does what can be done now: it is a duty of the leader.
func (k *Keeper) Run(ctx context.Context) error {
	due := false
	err := k.DB.View(ctx, func(tx *fsm.Tx) error {
		items, roots, _, err := k.items(tx)
		due = len(roots.Any) > 0 && (len(roots.Any) > 1 || !wrapped(items, k.Root.ID()))
		return err
	})
	if err != nil || !due {
		return err
	}
	return k.Node.WhileNobodyEnters(ctx, func(stands []form.MemberStand) error { return k.advance(ctx, stands) })
}

func wrapped(items []Item, id string) bool {
	return !slices.ContainsFunc(items, func(i Item) bool { return !slices.Contains(i.Keys, id) })
}

// advance wraps everything under the key in use, if every member uses that, and removes
// what is under keys that no member names.
func (k *Keeper) advance(ctx context.Context, stands []form.MemberStand) error {
	waits := ""
	var named []string
	uniform := true
	for _, m := range stands {
		member := look(m)
		if member.Waiting != "" {
			waits += "node " + m.Node + ": " + member.Waiting + "; "
			continue
		}
		named = append(named, member.Keys...)
		uniform = uniform && member.Keys[0] == k.Root.ID()
	}
	var news bool
	var gone []string
	var err error
	if waits == "" {
		err = k.DB.Update(ctx, func(tx *fsm.Tx) (err error) {
			news, gone, err = k.write(tx, uniform, named)
			return err
		})
	}
	if !uniform && waits == "" {
		waits = "not every member uses root key " + k.Root.ID() + " yet; "
	}
	if news || len(gone) > 0 || waits != k.said {
		k.said = waits
		k.Logger.Info("change of the root key", "in_use", k.Root.ID(), "wrapped", news, "gone", strings.Join(gone, " "), "waits", waits)
	}
	return err
}

func (k *Keeper) write(tx *fsm.Tx, uniform bool, named []string) (news bool, gone []string, err error) {
	before, err := seal.RootsOf(tx)
	if err != nil {
		return false, nil, err
	}
	if uniform {
		for _, rewrap := range []func(*fsm.Tx, *seal.RootKey) (bool, error){form.Rewrap, backup.Rewrap, seal.Rewrap} {
			changed, err := rewrap(tx, k.Root)
			if err != nil {
				return false, nil, err
			}
			news = news || changed
		}
	}
	if news && !slices.Contains(before.All, k.Root.ID()) && k.Told != nil {
		former := slices.DeleteFunc(before.Any, func(id string) bool { return id == k.Root.ID() })
		if err := k.Told(tx, k.Root.ID(), former); err != nil {
			return false, nil, err
		}
	}
	gone, err = seal.Forget(tx, k.Root, named)
	return news, gone, err
}

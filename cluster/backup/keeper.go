package backup

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"filippo.io/age"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// A Keeper makes and restores the backups of a running node.
type Keeper struct {
	Node    *cluster.Node
	DB      *fsm.DB // its schema must contain Tables
	Root    *seal.RootKey
	Dir     string // where archives wait to be restored: on the disk of the data
	NodeID  string
	Cluster string // its ID
	Version string // of the program
	Logger  *slog.Logger
	// After waits for what follows a restore, which then is there to stay; nil: nothing does.
	After func(ctx context.Context) error

	figures figures
}

// Write makes an archive of everything acknowledged before the call. Without recipients
// (age public keys as text) it is sealed under the root key.
func (k *Keeper) Write(ctx context.Context, w io.Writer, recipients []string, begun func(Info)) (Info, error) {
	to, err := ParseRecipients(recipients)
	if err != nil {
		return Info{}, err
	}
	return Create(ctx, k.DB, w, Options{
		Root: k.Root, Recipients: to, ClusterID: k.Cluster, Version: k.Version, Begun: begun,
	})
}

// ErrRecipient is the kind of what ParseRecipients reports.
var ErrRecipient = errors.New("not an age recipient")

// ParseRecipients reads age public keys.
func ParseRecipients(text []string) ([]age.Recipient, error) {
	var out []age.Recipient
	for _, s := range text {
		r, err := age.ParseX25519Recipient(s)
		if err != nil {
			return nil, fmt.Errorf("recipient %.80q: want an age public key, age1…: %w", s, ErrRecipient)
		}
		out = append(out, r)
	}
	return out, nil
}

// Check reads a whole archive and reports what would hinder its restore here. opened is as
// for Restore.
func (k *Keeper) Check(ctx context.Context, r io.Reader, opened bool) (Info, error) {
	r, err := sniff(r, opened)
	if err != nil {
		return Info{}, err
	}
	if err := k.Node.CanRestore(ctx, nil); err != nil {
		return Info{}, err
	}
	p, err := k.prepare(ctx, r, "", opened)
	if err != nil {
		return Info{}, err
	}
	return p.Info, p.Close()
}

// Restore checks a whole archive and makes its state that of every node. Nothing has
// changed when it reports ErrKey, ErrDamaged, fsm.ErrRefused or fsm.ErrUnavailable. The
// new state begins a new epoch: see package keys/seal. by is who did it. opened takes archives that
// somebody has opened already (Keys.Opened).
func (k *Keeper) Restore(ctx context.Context, r io.Reader, by string, opened bool) (Info, error) {
	r, err := sniff(r, opened)
	if err != nil {
		return Info{}, err
	}
	if err := k.Node.CanRestore(ctx, nil); err != nil {
		return Info{}, err
	}
	p, err := k.prepare(ctx, r, by, opened)
	if err != nil {
		return Info{}, err
	}
	if err := k.everybodyKnows(ctx, p.Info.RootKey); err != nil {
		return p.Info, errors.Join(err, p.Close())
	}
	// An upload may take long, but what comes now must not end half-way with the caller.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	err = k.Node.Restore(ctx, p.File, p.Size, p.Position.Index)
	if closed := p.Close(); closed != nil {
		k.Logger.Warn("prepared backup left behind", "error", closed) // goes with the next start
	}
	if err == nil && k.After != nil {
		if late := k.After(ctx); late != nil { // whoever leads does it
			k.Logger.Warn("what follows a restore is not done yet", "error", late)
		}
	}
	return p.Info, err
}

func (k *Keeper) prepare(ctx context.Context, r io.Reader, by string, opened bool) (*Prepared, error) {
	before := k.DB.Position().Index
	return Prepare(ctx, k.DB, k.Dir, r, Keys{Root: k.Root, Opened: opened}, func(i Info) ([]fsm.Raw, error) {
		if err := k.Node.CanRestore(ctx, i.Features); err != nil {
			return nil, err
		}
		epoch, err := seal.Restoration{
			At: time.Now().UTC(), Archive: i.ID, Cluster: i.ClusterID, Made: i.Created, Index: i.Index, Before: before, By: by,
		}.Begin()
		if err != nil {
			return nil, fmt.Errorf("begin a new epoch: %w", err)
		}
		rows := []fsm.Raw{epoch}
		for _, name := range append([]string{feature.Epoch}, i.Features...) {
			active, err := feature.Activated(name, k.Version, time.Now().UTC())
			if err != nil {
				return nil, err
			}
			rows = append(rows, active)
		}
		return rows, nil
	})
}

// sniff refuses at once what is no archive at all, or was opened and must not be.
func sniff(r io.Reader, opened bool) (io.Reader, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	if head, err := b.Peek(len(magic)); err != nil || string(head) != magic && string(head) != magicClear {
		return nil, fmt.Errorf("it does not begin as a backup of quis: is it the right file, and all of it? %w", ErrDamaged)
	}
	if head, err := b.Peek(len(magicClear)); err == nil && string(head) == magicClear && !opened {
		return nil, errOpened
	}
	return b, nil
}

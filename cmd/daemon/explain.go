package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/keys/seal"
)

// explainStore says in one line what is wrong with the store and what to do.
func explainStore(dir string, err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("store: the disk of %s is full: make room; nothing that was acknowledged is lost: %w", dir, oneLine(err))
	case errors.Is(err, fsm.ErrCorrupt):
		return fmt.Errorf("store in %s is damaged: move the directory away and start again: in a cluster the node gets everything from the others, "+
			"a single node needs its backup: %w", dir, oneLine(err))
	}
	return fmt.Errorf("store in %s: %w", dir, oneLine(err))
}

// explainCluster does the same for the cluster.
func (n *Node) explainCluster(err error) error {
	gossip := strings.Contains(err.Error(), "gossip")
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL), strings.Contains(err.Error(), syscall.EADDRINUSE.Error()):
		if !errors.Is(err, syscall.EADDRNOTAVAIL) {
			err = syscall.EADDRINUSE // memberlist keeps only the text
		}
		key, address := "cluster.listen", n.cfg.Cluster.Listen
		if gossip {
			key, address = "cluster.gossip", n.cfg.Cluster.Gossip
		}
		return explainListen(key, address, err)
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("cluster: the disk of %s is full: make room; nothing that was acknowledged is lost: %w", n.cfg.DataDir, oneLine(err))
	case errors.Is(err, seal.ErrSealed):
		return fmt.Errorf("root key: %w", oneLine(err))
	}
	return fmt.Errorf("cluster: %w", oneLine(err))
}

// explainRootKey adds where a root key comes from, if there is none.
func explainRootKey(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("root key: %w: copy the key of the cluster there, or make the first with `quis init`", err)
	}
	return fmt.Errorf("root key: %w", err)
}

// watchStore ends the node when the store can no longer write.
func (n *Node) watchStore(ctx context.Context) error {
	select {
	case <-n.db.Failed():
		_, err := n.db.Flush() // says why
		n.cannotGoOn(err)
	case <-ctx.Done():
	}
	return nil
}

// cannotGoOn ends the process at once, with the reason: what is under way must
// not be answered.
func (n *Node) cannotGoOn(err error) {
	if n.cfg.Fatal != nil {
		n.cfg.Fatal(err)
		return
	}
	n.log.Error("this node cannot go on and ends", "error", n.explainCluster(err))
	os.Exit(1)
}

// oneLine keeps err's kind and puts its text on one line.
func oneLine(err error) error {
	if !strings.Contains(err.Error(), "\n") {
		return err
	}
	return lined{err}
}

type lined struct{ error }

func (l lined) Error() string { return strings.Join(strings.Split(l.error.Error(), "\n"), "; ") }
func (l lined) Unwrap() error { return l.error }

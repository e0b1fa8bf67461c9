package dev

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/keys/seal"
)

// prepare makes the directory ready: locked, with a root key and a configuration
// file for each node; it settles how many they are and where. The returned function lets go
// of the lock.
func prepare(o *Options) (unlock func(), err error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(o.Dir, "dev.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("%w: another `quis dev` is running in %s: end it with Ctrl-C, or use --data-dir", ErrState, o.Dir)
	}
	if err := prepareLocked(o); err != nil {
		lock.Close()
		return nil, err
	}
	return func() { lock.Close() }, nil
}

func prepareLocked(o *Options) error {
	old, err := filepath.Glob(filepath.Join(o.Dir, "node-[1-9]"))
	if err != nil {
		return fmt.Errorf("data directory: %w", err)
	}
	if o.Reset {
		for _, path := range append(old, filepath.Join(o.Dir, "root.key")) {
			if err := os.RemoveAll(path); err != nil {
				return fmt.Errorf("reset: %w", err)
			}
		}
		old = nil
	}
	if o.Nodes == 0 {
		o.Nodes = max(1, len(old))
		if o.Nodes > 1 {
			fmt.Fprintf(o.Out, "  %s holds a cluster of %d, which goes on; `%s dev --reset%s` begins anew with one node.\n", o.Dir, o.Nodes, o.Program, o.DirFlag)
		}
	}
	// More nodes than before join the ones that are there; fewer would be no majority.
	if len(old) > o.Nodes {
		return fmt.Errorf("%s holds a cluster of %d: use --nodes %d to go on with it, or --reset to begin anew", o.Dir, len(old), len(old))
	}
	// Browsers, keys and applications know the issuer by its address, the nodes each other.
	there := portIn(o.Dir)
	switch {
	case o.Port == 0:
		o.Port = cmp.Or(there, DefaultPort)
	case there != 0 && there != o.Port:
		return fmt.Errorf("%s holds a cluster at port %d: use --port %d to go on with it, or --reset to begin anew", o.Dir, there, there)
	}
	keyFile := filepath.Join(o.Dir, "root.key")
	if _, err := os.Stat(keyFile); errors.Is(err, os.ErrNotExist) {
		o.made = append(o.made, keyFile)
	}
	if err := makeRootKey(keyFile, len(old) > 0); err != nil {
		return err
	}
	bootstrap := ""
	if o.Bootstrap != "" {
		if bootstrap, err = filepath.Abs(o.Bootstrap); err != nil {
			return fmt.Errorf("--bootstrap: %w", err)
		}
		f, err := os.Open(bootstrap)
		if err != nil {
			return fmt.Errorf("--bootstrap: %w", err)
		}
		f.Close()
	}
	for i := range o.Nodes {
		if dir := o.placeOf(i + 1).Dir; !slices.Contains(old, dir) {
			o.made = append(o.made, dir)
		}
		if err := writeNode(*o, o.placeOf(i+1), keyFile, bootstrap); err != nil {
			return err
		}
	}
	return nil
}

// unmake removes what a run that came to nothing has put into the data directory: the next one would take it
// for a cluster that goes on.
func (o *Options) unmake() error {
	for _, path := range o.made {
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("data directory: %w", err)
		}
	}
	return nil
}

func makeRootKey(file string, mustExist bool) error {
	_, err := os.Stat(file)
	switch {
	case err == nil:
		return nil
	case !errors.Is(err, os.ErrNotExist):
		return fmt.Errorf("root key: %w", err)
	case mustExist:
		return fmt.Errorf("%s is missing, and the data beside it cannot be read without: put it back, or begin anew with --reset", file)
	}
	if err := seal.SaveRootKey(file, seal.GenerateRootKey()); err != nil {
		return fmt.Errorf("root key: %w", err)
	}
	return nil
}

func writeNode(o Options, p place, keyFile, bootstrap string) error {
	if err := os.MkdirAll(p.Dir, 0o700); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	c := daemon.Default()
	c.NodeID = p.Name
	c.DataDir = p.Dir
	c.PublicURL = Issuer(o.Port)
	c.Listen = daemon.Listen{Public: p.Public, Operations: p.Operations}
	c.RootKeyFile = keyFile
	c.Cluster.Listen, c.Cluster.Advertise = p.Cluster, p.Cluster
	c.Cluster.Gossip, c.Cluster.GossipAdvertise = p.Gossip, p.Gossip
	c.Cluster.BootstrapExpect = o.Nodes
	for i := range o.Nodes {
		if other := o.placeOf(i + 1); other.Index != p.Index {
			c.Cluster.Join = append(c.Cluster.Join, other.Cluster)
		}
	}
	c.Drain = 0
	if o.Nodes > 1 {
		c.Drain = 600 * time.Millisecond // the proxy looks four times a second
		c.TrustedProxies = []string{"127.0.0.1", "::1"}
	}
	c.BootstrapFile = bootstrap
	c.Log.Format = "text"
	if o.LogLevel != "" {
		if err := c.Log.Level.UnmarshalText([]byte(o.LogLevel)); err != nil {
			return fmt.Errorf("--log-level: %q is none of debug, info, warn, error", o.LogLevel)
		}
	}
	c.Dev = true
	if err := c.Validate(); err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by `quis dev` at every start; changes are lost.\n")
	daemon.WriteYAML(&b, &c, false)
	if err := os.WriteFile(p.configFile(), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("%s: %w", p.Name, err)
	}
	return nil
}

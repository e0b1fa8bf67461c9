package cluster

import (
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const canaryFile = "canary"

// watchDisk ends the node when its disk no longer answers. A leader that cannot write
// goes on sending heartbeats, which touch no disk, and so keeps its followers loyal
// for ever; only its falling silent lets them elect another.
func (n *Node) watchDisk() {
	every := max(n.cfg.StallLimit/5, 10*time.Millisecond)
	wrote := make(chan error, 1)
	busy := false
	var since time.Time
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case err := <-wrote:
			busy = false
			if err != nil {
				n.die(fmt.Errorf("write to the data directory %s: %w", n.cfg.DataDir, err))
				return
			}
		case now := <-tick.C:
			if busy && now.Sub(since) > n.cfg.StallLimit {
				n.die(fmt.Errorf("%w: a small write to %s has taken %s", errStall, n.cfg.DataDir, now.Sub(since).Round(time.Millisecond)))
				return
			}
			if at := n.logs.since.Load(); at != 0 && now.Sub(time.Unix(0, at)) > n.cfg.StallLimit {
				n.die(fmt.Errorf("%w: a write to the log has taken %s", errStall, now.Sub(time.Unix(0, at)).Round(time.Millisecond)))
				return
			}
			if !busy {
				busy, since = true, now
				go func() { wrote <- n.canary() }()
			}
		case <-n.quit:
			return
		}
	}
}

// canary writes and syncs a few bytes.
func (n *Node) canary() error {
	f, err := os.OpenFile(filepath.Join(n.cfg.DataDir, canaryFile), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteAt([]byte(time.Now().UTC().Format(time.RFC3339Nano)+"\n"), 0)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

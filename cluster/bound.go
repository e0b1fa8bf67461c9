package cluster

import "time"

// Raft counts entries, but a packed entry holds anything from one small batch to half
// a megabyte. These bounds are in bytes.
const (
	snapshotBytes = 64 << 20  // a snapshot is due after about this much
	trailingBytes = 512 << 20 // about this much is kept behind a snapshot
	fewestEntries = 256       // but never fewer entries than this
)

// boundLog keeps Raft's counts of entries in step with the size that entries have.
func (n *Node) boundLog() {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-n.quit:
			return
		}
		if n.Isolated() != nil { // nothing may be cut off now
			continue
		}
		threshold, trailing := n.bounds(n.logs.Written())
		c := n.raft.ReloadableConfig()
		if c.SnapshotThreshold == threshold && c.TrailingLogs == trailing {
			continue
		}
		c.SnapshotThreshold, c.TrailingLogs = threshold, trailing
		if err := n.raft.ReloadConfig(c); err != nil {
			n.log.Warn("log bounds not changed", "error", err)
		}
	}
}

// bounds returns how many entries may come before a snapshot and stay behind one.
func (n *Node) bounds(entries, bytes int64) (threshold, trailing uint64) {
	if entries == 0 || bytes == 0 {
		return n.cfg.SnapshotThreshold, n.cfg.TrailingLogs
	}
	mean := max(1, uint64(bytes/entries))
	within := func(most, budget uint64) uint64 { return min(most, max(fewestEntries, budget/mean)) }
	return within(n.cfg.SnapshotThreshold, snapshotBytes), within(n.cfg.TrailingLogs, trailingBytes)
}

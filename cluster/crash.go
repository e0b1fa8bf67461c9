package cluster

// Crash ends the node as kill -9 would, for tests: its peers hear nothing from it, and
// the store is not flushed. The store stays open, as after Stop.
func (n *Node) Crash() error {
	n.died.Store(true)
	return n.shutdown()
}

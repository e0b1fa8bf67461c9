// Package cluster is one Raft node over a store of package fsm: it takes batches,
// gives them an order that a majority has on disk, and applies them.
//
// [Node] implements fsm.Log. A batch may be proposed on any node: the leader packs
// many into one log entry, another node forwards its own, packed likewise, and
// answers when it has applied the entry itself, so that whoever wrote there reads
// it there. A batch whose answer was lost is sent again under the same identity
// until the time is up; the store gives a repetition the first outcome. The errors
// tell the truth: ErrUnavailable means certainly not applied, ErrUnknown perhaps.
//
// Reads that must not be stale ask the leader for an index that a majority has
// confirmed ([Node.CatchUp], [Node.EnsureFresh]); clocks of two nodes are never compared.
//
// The engine of the store is its own snapshot: taking one is a flush, and streams
// are made only for a node that must be installed (package disk). A node that cannot write, or
// cannot apply, ends its process rather than go on.
//
// A node with an empty data directory founds a cluster or joins one, proving that
// it holds the root key (package form); everything after that runs under certificates
// of the cluster's own authority (package wire). Gossip helps to find and to watch peers
// and decides nothing.
//
// Not here: what is in the batches (fsm), what the leader does besides (duty).
package cluster

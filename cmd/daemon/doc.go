// Package daemon wires one node: it reads the configuration, opens the rooms in
// order, runs the duties and the listeners, and takes everything down again in
// reverse when it is told to.
//
// It is importable so that tests start whole nodes in process; cmd/quis calls
// nothing else to serve. It holds no rules of its own: what a node does lives in
// the rooms, and a new room costs one line here.
//
// Order of start: data directory (locked), store, root key, cluster, sealing
// ring, sessions and keys, listeners, first-start setup on the leader, duties.
// Readiness is reported only when the node has a leader, has caught up and the
// first-start setup has been applied here. Order of stop: readiness fails, leadership
// is handed over, listeners drain, duties end, store closes.
//
// Configuration holds only what a node needs before it has a store; everything
// else is replicated data. A flag beats the environment beats the file.
package daemon

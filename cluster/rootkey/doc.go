// Package rootkey replaces the root key of a running cluster, with overlap.
//
// Every node is given its root keys in a file, the one in use first. The operator adds a
// new key to all files, then puts it first in all of them, and drops the former at last,
// restarting node by node each time; nodes of two neighbouring steps understand each
// other. When every member uses the same key, the leader wraps what hangs on it anew: the
// ring of sealing keys, the cluster's authority, the secret of the backup schedule. Each
// node does so itself with its node.json when it starts. Boxes under a former key stay
// until every member answers and none names that key any more.
//
// Invariants: nothing is wrapped under a key that a member does not know; what one
// transaction wraps anew is all or nothing, so a leader that falls leaves what it found,
// and the next goes on; while the leader asks and writes, it takes no new node in.
//
// A former root key still opens old copies of the store. That is why dropping one brings
// a new sealing key; signing keys and the authority have rotations of their own.
//
// Not here: the files (the operator's, by way of quis root-key), and how a box is made.
package rootkey

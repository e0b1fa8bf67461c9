// Package form gets a node its identity: it founds a cluster together with others, or
// asks one that exists to take the node in. It keeps the identity in node.json, whose
// secrets are wrapped under the root key, and the cluster's certificate authority in
// the store.
//
// It also lets a node in by a join token instead: single use, expiring, and pinning the
// authority, so that the node knows whom it may tell it to; and it replaces the authority
// step by step. A step is taken when every member has confirmed the one before, and counted
// in a revision that no node goes back behind.
//
// All but tokens goes over quis-join/1 (package wire), where both sides have proved that
// they hold the root key. A node that founds writes down what it has decided
// before it tells anybody, and goes on with that after a crash. A node belongs to one
// cluster for ever: being told of another is refused, and so is a data directory whose
// parts disagree.
//
// Not here: Raft, its configuration, and who may become a member (cluster).
package form

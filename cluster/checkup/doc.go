// Package checkup examines a cluster for whoever operates it: what each node finds on its
// own machine, what the nodes find of each other, and what follows from it.
//
// A Finding says what was looked at, what was found, how bad that is, and what to do
// about it. A Report is what one node says; Gather asks every node for its own, and Judge
// makes of all of them the findings that only the whole shows: who does not reach
// whom, whose clock is off, who runs another release.
//
// Not here: what a node's configuration says (cmd/daemon gives its findings), Raft, the
// way to the other nodes, and how findings are shown.
//
// Invariants: nothing is changed but a small file in the data directory, which is removed
// again; every look is bounded in time and size; a finding holds no secret.
package checkup

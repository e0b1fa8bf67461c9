// Package autopilot holds the rules of membership: who is healthy, who may vote, who
// may be removed, and how many more failures the voters survive.
//
// Everything here but the settings' row is pure: from what was seen of the members, the
// settings and the time follows a decision and a sentence that says why. Package cluster
// looks at the members, and carries out what was decided, on the leader and fenced by
// its term.
//
// Invariants: one change at a time; a majority of the voters that would remain is
// healthy after every change; no rule goes below the operator's minimum; a node that
// is being installed, or is catching up, is never taken for dead.
//
// Not here: Raft, the network, clocks.
package autopilot

// Package compare finds the member whose state is not what the log says, and heals it.
//
// The leader has all members hash their state after the same log entry and compares.
// A majority of the voters decides what is right. A member that holds something else
// isolates itself at once: it is not ready, takes no writes, gives no answer that
// needs a fresh state and does not lead; then it takes the whole state from a member
// of that majority, applies from its own log what came since, and goes on. Its log and
// its vote are left alone: they were never in doubt, and a majority may rest on
// them. Without a majority nobody is touched, and all of them call for a person.
//
// It knows nothing of Raft: how a node stops leading and how a state is put in place
// of another is given to it. Reading from a healthy member costs that one a walk over
// its store; hashing costs every member a second of a processor per million rows,
// so the leader waits a hundred times as long as the slowest took.
package compare

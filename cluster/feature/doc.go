// Package feature lets releases be mixed: every node announces, in a replicated row of
// its own, which formats and features it reads, and what an older member could not
// read is written only once all of them do.
//
// Whoever brings a new format adds a line to the list in known.go and writes the old
// format until [Active] says yes; reading the new one comes with the release. The
// leader activates a feature when every current member announces it, in the store and
// once more when asked at that moment: a member that went back to an older release
// leaves its row behind, but does not answer so. What is active stays active, and a
// binary that does not read it refuses to start or is not let in.
//
// So a release can be taken back, node by node, until the first feature is activated
// that only it reads, which happens as soon as the last member runs it. The release
// before this package announces nothing; while one such member is there, nothing is
// activated.
//
// Invariants: an activation is written by the leader alone, under its term and under
// the lock that admits new members, so that no node gets in between the question and
// the answer; only the node itself writes its announcement; rows of nodes that are no
// members any more go.
//
// Not here: the formats, who is a member, and how members are asked.
package feature

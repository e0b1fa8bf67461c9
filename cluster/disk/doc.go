// Package disk is what Raft keeps on this node's disk, and the way from there into
// the store of package fsm: the log with term and vote ([Log]), the snapshots
// ([Snapshots]) and the machine that applies committed entries ([Machine]).
//
// Every entry of the log carries a checksum over everything that must not change. A
// log that is damaged, lost, another node's, or older than the store beside it is
// refused with an error that says what to do. The snapshot is the store itself, as far
// as it is durable; files are made only of streams that arrive.
//
// Nothing is tried again in place: what cannot be written, read or applied is
// reported once to the function given for it, which is to end the process, and so is
// a disk that does not answer.
//
// Not here: elections, replication and membership (cluster), what entries mean (fsm).
package disk

// Package fsm is the ground of quis: optimistic transactions over typed tables
// on one embedded store, replicated by a log that it knows only as an interface.
//
// A change runs as a closure against a local snapshot ([DB.Update]). What it
// read (keys with the revision seen, ranges with a digest of what they held) and
// what it writes leave as one batch. The batch goes into the log; every replica
// verifies the reads and applies the writes, or refuses the whole batch with a
// conflict, upon which the closure runs again on a newer snapshot. The log so
// carries results and never logic: Apply is pure key-value work with checks, it
// reads no clock, draws no random number and calls no code of the floors above.
//
// Rows are CBOR with integer keys, live under their table and scope (the tenant),
// and carry the log index that last wrote them: their revision. Secondary index
// keys are computed by the proposer and stored in the row's header, so a row can
// be deleted without knowing its type.
//
// The engine is Pebble without its write-ahead log: the Raft log is the durable
// record. After a crash the store is an exact, consistent prefix of the log and
// says at which index it stands; the log replays the rest.
//
// Not here: consensus, networking, encryption, and any knowledge of what rows mean.
package fsm

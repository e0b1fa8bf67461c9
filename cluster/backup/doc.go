// Package backup writes the whole store into one sealed archive, reads archives back
// and prepares them to be restored, and keeps the schedule of the cluster's backups.
//
// An archive is a small header in clear, so that a person sees what it is and which key
// opens it, and a sealed body: the hash of the header, then the stream of the store with
// its own checksum. It is sealed under a key that hangs on the root key, which nobody
// can forge, or to age recipients, which anybody can who knows them.
//
// A backup is a snapshot of the engine after a read index: any node makes one, it is of
// one log index, holds everything acknowledged before it began, and writers do not
// notice. What an archive claims is never believed: sizes are bounded by what has
// arrived, and nothing counts before the last byte was checked.
//
// A scheduled backup goes to a directory or an S3-compatible store. It counts once it was
// read back from there, and only then do older ones go.
//
// Not here: how a restored state becomes the cluster's (package cluster), what a
// restore voids (package keys/seal, and the tables that say so), permissions.
package backup

// Package faultfs is a disk that a test can hurt: a file system in memory, mounted
// through FUSE, for real processes to keep their data on.
//
// It can be slow, full, read-only or broken ([FS.Set]), and its plug can be pulled
// ([FS.PowerCut]): then everything is gone that no fsync had made durable, as the
// strictest reading of POSIX allows. What fsync of a file keeps is that file's content
// and size; what keeps a name (created, renamed, removed) is fsync of its directory.
// Of the rest a seed decides: all lost, all kept, or some of it, pages torn in
// the middle included, in any order.
//
// It is not fast, not complete (no locks across mounts, no extended attributes) and
// nothing survives the process that mounted it. A test binary must not map its
// files itself: a page fault that this very process has to serve can stop it for ever.
package faultfs

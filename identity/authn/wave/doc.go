// Package wave notices guessing at many names at once, which counting by name does not:
// one network, or one neighbourhood of networks, that fails at many names; one password
// that is tried at many names (spraying); and many names that fail from many networks,
// as when a list from elsewhere is tried out (stuffing).
//
// Each node counts names, in windows of five minutes, in memory and within bounds, and
// writes what it counted as one row for each window and tenant, of a few kilobytes at
// most, in the entry that its failed attempts cost anyway. Every node reads the rows of
// all. The answer is a pace: from such a network, or with such a password, the next
// attempt may come a while after the last; while a list is tried out, strangers share a pace
// at each node, one for networks that have failed and one for all others. Nobody is locked out, and whoever comes with a
// browser in which they have signed in before is not asked at all; that is the caller's.
//
// Invariants: what is decided about a tenant follows from the rows alone, so that nodes
// agree; that a wave began, or ended, is one event, whichever node sees it first; no
// password, and nothing by which one could be found, is kept: of a password there are
// twelve bits of a MAC, without the name it was tried at.
//
// Not here: failures at one name (identity/authn), and limits of requests (api/limit).
// DESIGN.md says why it is so.
package wave

// Package history judges what clients saw while faults were injected.
//
// A [Recorder] notes every operation with the moments of its call and its return,
// what was asked and what was answered. An operation of unknown outcome may take
// effect at any moment after its call, or never: its end stays open. [Check] then
// looks for an order of all operations in which every answer is right: rows are
// linearizable registers, names are given once, codes are redeemed at most once, a
// refresh token has one successor and a revoked family none. [Audit] compares the
// nodes with each other when all is quiet. Every rule has a test with a history
// that breaks it, so that a suite that finds nothing has looked.
//
// The operations and the nodes are plain data and functions, so that nodes in one
// process and nodes behind HTTP are judged by the same rules. [Invariants] says
// which tests hold which promise.
//
// Not here: what makes the operations, and what breaks things meanwhile.
package history

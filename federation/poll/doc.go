// Package poll is what a client waits with while a person decides somewhere else: on a
// second device (federation/device) or when told by another way (federation/ciba).
//
// A [Kind] makes the code that the client polls with: a name and a MAC, so that nothing
// is stored which could be presented, and garbage ends before the store is asked. A
// [Pace] says who comes too often, on this node. [Limit] bounds how many such waits one
// application or one network may begin, on all nodes. [Admit] says whether a session may end one
// with a yes: by all that is asked of a sign-in to the application.
//
// Not here: what is waited for, and what a client gets in the end.
//
// Invariants: a code is good for one tenant and one client, and not beyond the restore
// of a backup. Memory is bounded, whoever polls.
package poll

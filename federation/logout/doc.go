// Package logout tells applications that a person has signed out: OpenID Connect
// Back-Channel Logout 1.0, and the addresses of Front-Channel Logout 1.0.
//
// Whoever ends a session knows nothing of it. A reader of the event log (see [Room.Read])
// finds the applications that were given tokens in that session and writes a delivery for
// each; a sender (see [Room.Send]) posts the logout tokens, again and again with growing
// pauses until the application has taken it or the time is up. Both are duties of the
// leader. A delivery is a row: what is on its way survives the leader, and an
// administrator can look at it and have it sent again.
//
// Invariants: an application is told at least once, and always under the same jti, which
// is the ID of the delivery, so it can tell a repetition. One application that does not
// answer takes at most a few of the places to send from. A row and the log hold no token.
//
// Not here: how a token is signed and how an address of a stranger is called without
// harm; both are handed in.
package logout

// Package notify sends mail: what it says is in package letter, how it is handed over in
// package post; this room knows to whom, when, and what came of it.
//
// There are two ways out. [Room.Send] is for codes and links that somebody asked for who has
// proved nothing: this node sends them itself, from a bounded queue, at a bounded rate, and
// writes nothing to the log. [Room.Read] follows the event log and writes a delivery for
// each event that a person should hear of; [Room.Deliver] sends these, again and again with
// growing pauses. Both are duties of the leader. A delivery is a row: what is on its way
// survives the leader, and an administrator can look at it and have it sent again.
//
// Invariants: without settings of its tenant nothing is sent, and [State] says so. Whoever
// hands over a message learns nothing of what becomes of it, not even by how long the
// call takes. A notice is sent at least once and always under the same Message-ID. The log
// holds no code, no link and no password in the clear.
//
// Not here: what is done when a person says that it was not them (package alarm), and which
// addresses a mail server may have: the dial function that is handed in decides.
package notify

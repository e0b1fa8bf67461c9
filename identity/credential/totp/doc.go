// Package totp holds authenticator apps: secrets shared with a user's telephone, from
// which both compute a code that changes every 30 seconds (RFC 6238).
//
// An app is added in two steps. [Begin] makes a secret and hands it out with a QR code
// and a sealed token; nothing is stored, so a stranger's clicks cost nothing. [Confirm]
// stores it once a code shows that the app has it. A sign-in is two steps likewise:
// [Check] reads, [Accept] writes in the transaction that finishes the sign-in.
//
// Invariants: a secret is sealed before it is proposed, bound to its user and row; an
// app's code is accepted once in the whole cluster, and none that is older than it,
// because the row remembers the time step (RFC 6238 §5.2); codes are compared in
// constant time, whichever app and step they fit; a removed app ends all trust in
// devices, which was given on its word.
//
// How many wrong codes are too many is for the flows that ask. After the restore of a
// backup, steps since the backup are forgotten: their codes have long passed.
package totp

// Package passkey is the part of a person's own pages about passkeys: adding one, giving it
// a name, removing it.
//
// The ceremony's session travels in the form, sealed and bound to the person's own session, so
// asking for the page stores nothing and any node takes the answer. After each change
// the browser is told which passkeys are left, for it to offer no others.
//
// Invariants: a change needs a proof of who the person is that is recent; what would leave them no
// way to sign in is not removed (package factor decides that). Making a passkey needs JavaScript, the rest does not.
package passkey

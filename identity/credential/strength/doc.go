// Package strength judges new passwords: by a tenant's [Policy], by what everybody tries
// first, and by how many guesses somebody would need who knows the person.
//
// It is pure: no store, no clock, no network. A [Verdict] names every fault at once, with
// a code for programs and a sentence for people, so that a form can tell while somebody
// types. Whether a password was leaked (breach) or had before (credential) is asked
// elsewhere; their faults have the same shape.
//
// The defaults follow NIST SP 800-63B-4 §3.1.1.2: length, a list of what is guessed first,
// nothing about kinds of characters, no expiry. Guesses are estimated by zxcvbn (Wheeler,
// USENIX Security 2016), whose time grows with the cube of the length: at most 64
// characters of a password are looked at.
package strength

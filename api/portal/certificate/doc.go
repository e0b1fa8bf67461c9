// Package certificate is the part of a person's own pages about certificates and smart cards:
// which ones have signed them in, adding the one that their browser has, taking one away.
//
// The browser is asked for a certificate at another address, so a sealed ticket of the person's
// session goes there and what was found comes back sealed; nothing is stored before the
// person confirms it, and any node takes any step.
//
// Invariants: a certificate is added only by who has its key, and only to their own account, with
// a proof of who they are that is recent; the only way to sign in is not taken away.
package certificate

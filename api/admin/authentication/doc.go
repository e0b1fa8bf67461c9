// Package authentication is the part of the admin API about how people sign in: what a
// tenant decides, and which proofs a sign-in would need.
//
// Not here: what holds, which identity/settings and identity/policy say; and what is
// known of single people.
package authentication

// Package address is where a person changes their own email address: at /account/email, from
// the profile.
//
// A link goes to the address of now and one to the new one; when both were followed, and the
// button behind each was pressed, the address changes (package pending). Each link is good only
// for whoever is signed in to the account: a new address that was mistyped is a stranger's, who
// could else take it for theirs. An address that was never proved has no say.
//
// Invariants: beginning needs a recent proof of who the person is; nobody learns whether an
// address belongs to somebody already, who is told that themselves; looking at a link changes
// nothing. Whoever cannot read mail at the former address any more needs an administrator.
package address

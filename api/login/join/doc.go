// Package join is the pages by which people make themselves an account: behind the link of
// an invitation, and, where the tenant wants it, for strangers who prove an address first.
//
// Both end at one form: a name, and a password or a passkey. What it makes, the session, and
// the use of the invitation are one transaction ([authn.Flows.Join]), after which the person
// goes on to where they came from. The rules are those of identity/pending and
// identity/registration; cookies and the way on are those of the room above.
//
// Invariants: looking at a link uses nothing up, for mail programs do that; a link that is
// dead says so and no more; who asks for an account learns nothing of others, in words or in
// time; nothing is stored before an address was proved; no password is hashed of which no account
// can come, and the others in the room of strangers ([authn.Flows.Hash]). All of it but passkeys works without
// JavaScript.
package join

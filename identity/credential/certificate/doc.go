// Package certificate lets people sign in with X.509 certificates: files on a device, or
// smart cards.
//
// A tenant has [Authority] rows: CA certificates that it trusts to certify its people, each
// with the [Rule]s by which what a certificate says becomes a user, what is known of where its
// keys are kept, and how strictly revocation is looked at. [Verify] builds the chain,
// [Sources.Check] asks whether anything in it has been revoked, [Authority.Match] finds the user;
// [Accept] does what of that can be done without the network once more, in the transaction that
// finishes the sign-in. [GoodOf] says which of a user's certificates are a way in today, as far as can be
// known without the network, and [HeldBy] which they are asked for.
//
// Invariants: a certificate is taken only if its extended key usage says that it is for
// signing in; what it says is believed only as its authority's rules have it; no user, and more
// than one, is nobody; an address leads only to who has proved it; what is revoked stays out
// whatever else is known of it; what has been fetched counts only with the issuer's signature.
//
// Not here: how a certificate gets here and who has proven its key (api), fetching
// (federation/fetch), when one is asked for (identity/authn).
package certificate

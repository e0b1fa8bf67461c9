// Package dpop verifies proofs of possession (RFC 9449): that whoever sends a
// request has the private key whose thumbprint a token is bound to.
//
// What it is not: the place where tokens are bound (federation/oidc writes and
// compares cnf.jkt), and no part of client authentication.
//
// What always holds. A proof is good for one method, one URL as the operator has
// configured it (never as the request's headers spell it), one access token if
// one is presented, a minute, and once on each node. Nonces are a MAC of the
// time under the sealing ring: any node takes what any other has given, and
// nothing is stored for a stranger who asks. The memory of proofs seen is each
// node's own and bounded, so verifying costs no log entry.
//
// The price: a proof that is stolen within its minute can be sent once to every
// other node (RFC 9449, section 11.1, allows that trade). It is of no use without
// the token or the client's credentials, and where a nonce is demanded it must be
// of the same two minutes.
package dpop

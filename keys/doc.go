// Package keys holds the signing keys of every tenant and signs and verifies JWS
// with them.
//
// A tenant has at most one active key per algorithm. Keys go through four phases:
// published (in the JWKS, not used), active (signs), retiring (verifies only), gone.
// The duty [Keys.Rotate] moves them on, and only when it cannot matter to anybody: a key
// becomes active after every member has applied its publication and the time has passed
// for which others may cache the JWKS; it is gone after every member has stopped
// signing with it and its last token has expired. [Keys.RotateEmergency] skips all that.
//
// Private keys are sealed by the ring of keys/seal before they are proposed, and
// everything signs through crypto.Signer. Signing and verifying take no lock and read
// no store while nothing changes; what a node uses is at most 50 ms behind what it
// has applied.
//
// Invariants: a kid is the RFC 7638 thumbprint of its key, so it never names two; a
// key that is gone stays gone; a token that verifies has the very header that this
// package would have written.
//
// Not here: what claims mean (expiry, audience and issuer are the caller's to check),
// encryption of tokens, keys of other issuers, TLS certificates.
package keys

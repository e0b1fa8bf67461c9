// Package credential holds what people prove themselves with: passwords, access
// tokens for the API, and the setup link of a new house.
//
// Passwords are argon2id hashes in PHC form, computed in a bounded [Pool]: hashing is
// the one thing here that costs milliseconds and megabytes, and a storm of sign-ins
// must neither starve the issuing of tokens nor exhaust memory. A hash carries its
// parameters; one with others than today's is renewed at the next sign-in. Tokens and
// setup secrets are random and long, so their SHA-256 is stored and found by index.
//
// Invariants: no plaintext password or token is stored or logged; parameters from
// outside are bounded before a single byte is hashed; a user that does not exist costs
// the same hash as one that does; hashing never happens inside a transaction.
//
// Memory: each running hash allocates Params.Memory anew, because x/crypto/argon2
// cannot reuse it. A node needs Workers × Params.Memory on top of the rest, and the
// collector runs often under load: set GOMEMLIMIT well above that, never below.
//
// Second factors have rooms of their own (totp, recovery), as have the devices that stand
// for one (device). This room deletes with a user, and with a tenant, what all of them keep,
// and a new password ends the trust in devices, so that no caller can forget it.
//
// Not here: who may set whose password, counting failures (authn), ending sessions
// when a password changes (callers do so in the same transaction).
package credential

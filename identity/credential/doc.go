// Package credential holds what people prove themselves with: passwords, access
// tokens for the API, and the setup link of a new house.
//
// Passwords are argon2id hashes in PHC form, computed in a bounded [Pool]: hashing is
// the one thing here that costs milliseconds and megabytes, and a storm of sign-ins
// must neither starve the issuing of tokens nor exhaust memory. A hash carries its
// parameters; one with others than today's, or of another system (foreign), is renewed at
// the next sign-in. New passwords go through [Prepare]. Tokens and
// setup secrets are random and long, so their SHA-256 is stored and found by index.
//
// Invariants: no plaintext password or token is stored or logged; parameters from
// outside are bounded before a single byte is hashed; a user that does not exist costs
// the same hash as one that does; hashing never happens inside a transaction.
//
// Memory: a worker keeps what it hashes in, outside the heap: a node needs Workers ×
// Params.Memory on top of the rest, and up to 256 MiB a worker for imported hashes.
//
// Not here: who may set whose password, counting failures (authn), ending sessions
// when a password changes (callers do so in the same transaction).
package credential

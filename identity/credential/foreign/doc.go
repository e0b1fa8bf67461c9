// Package foreign reads password hashes that other systems made, so that people keep their
// passwords when they move here: argon2i, argon2d and argon2id, bcrypt, PBKDF2, scrypt,
// sha-crypt ($5$ and $6$) and salted LDAP digests, as passlib, Django, Werkzeug, Keycloak,
// crypt(3) and directories spell them.
//
// A hash says itself what it costs to verify, and whoever writes an import file writes
// that too. Every cost is therefore bounded when a hash is parsed, before a byte is hashed:
// none takes more than about two seconds of a core, or 256 MiB. What is out of bounds is
// refused with [ErrCost], when it is imported and not when somebody signs in.
//
// Not here: hashes without a salt or a cost worth the name (MD5, DES, plain SHA), which are
// no better than plaintext: their owners set a new password. Replacing a foreign hash by
// one of ours, and in which memory and how many at a time they are computed, is the
// caller's (credential.Pool).
package foreign

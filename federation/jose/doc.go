// Package jose reads what others have made of keys and tokens: JWK sets of
// applications (RFC 7517), signed JWTs (RFC 7515, RFC 7519), and encrypts what is
// for an application alone (RFC 7516).
//
// What it is not: the place where quis signs (package keys does, with its own
// keys and headers), and no judge of what a token means: who may have made it,
// what for, and whether it was seen before are the caller's to know.
//
// What always holds. A caller says which algorithms, types and keys it takes;
// nothing in a token widens that (RFC 8725, section 3). A key fits an algorithm
// by its own kind and size, so a public key is never the secret of an HMAC.
// "none", crit, jku and x5u are refused everywhere, and nothing is ever fetched.
// Bytes, keys, key sizes and nesting are bounded before any arithmetic is done.
// Names in JSON are exact and may stand there once. Errors are sentences of
// this package in plain ASCII and repeat nothing of what was read.
package jose

// Package caller finds out which application sends a request, by the one method
// that it is registered with: a secret (RFC 6749, section 2.3.1), a signed assertion
// (RFC 7523, section 3), a TLS client certificate (RFC 8705, section 2), or none.
//
// What it is not: the place where a request is judged. That an application is who
// it says is all that is said here.
//
// Invariants. A request proves itself in one way only. An application that was
// registered with a method is believed by that one and by no weaker one; without
// a registered method, by its secret. An assertion is for this issuer, lives for
// minutes, and is spent once in the whole cluster: its row is written in the same
// log entry as whatever the request brings about. A certificate counts only if
// whoever terminated TLS and is trusted says so (identity.CertificateFrom).
// Secrets are compared in constant time, and for an application that does not
// exist the same work is done.
package caller

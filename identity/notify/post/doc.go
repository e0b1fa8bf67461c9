// Package post hands one message to one SMTP server (RFC 5321), or writes it as a file.
//
// It is the only place that knows go-mail. It says what came of an attempt in words for an
// administrator, and whether there is sense in trying again; when that is, what is sent
// and to whom are the caller's business.
//
// Invariants: a password leaves only over TLS with a name that was verified. Nothing that a
// message carries can become a header or a command of its own. Neither the name of this
// machine nor the version of this program is told to the server.
package post

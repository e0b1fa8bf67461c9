// Package app is the commands about applications: list, show, make, change and delete them,
// their secrets, who may use them, what their tokens would say, and what became of telling
// them of sign-outs.
//
// Which fields an application has is asked of the server, so that a field of a newer
// server can be set by an older command line. Secrets are shown once or written to a file
// that only its owner may read, never to a log.
package app

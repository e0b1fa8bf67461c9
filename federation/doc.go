// Package federation knows the applications that sign people in through quis:
// who they are, where a person may be sent back to, what they may ask for, and
// which claims about a person each scope stands for.
//
// What it is not: a protocol. The rooms beside and below (federation/oidc and
// its future siblings) speak to the applications; none of their messages, tokens
// or errors appear here.
//
// Invariants: a client_id is unique within its tenant and never changes. A
// public application has no secret, a confidential one has one or two, unless it
// authenticates by a key. A secret
// is stored only as a MAC under the cluster's key ring, and is shown once. A
// redirect URI is checked when it is registered, with a reason when refused, so
// that matching at the time of a request is a plain comparison.
package federation

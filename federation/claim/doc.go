// Package claim says what an application's tokens carry beyond the standard: claim
// mappings, made of text with ${variables} or of an expression in CEL, and the roles
// that users and groups have in one application.
//
// What it is not: scopes and the claims that they stand for (federation), tokens
// (federation/oidc), or a place for programs. A [Script] is the one hook for those.
//
// Invariants: a claim that the protocol itself gives a meaning is never mapped,
// however it is spelled. A mapping with a required scope yields nothing without it. An
// expression is type checked when it is registered; when it runs, its cost, time,
// memory and result are bounded, and it sees the user who signs in and nobody else.
// What a mapping yields never gets into a log: failures name the mapping alone.
//
// CEL is linked but asleep: its environment is made by the first expression that a
// process compiles. DESIGN.md has the figures.
package claim

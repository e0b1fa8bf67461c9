// Package family keeps what applications have been given: one row for each
// authorization, whichever grant type it came by.
//
// A [Grant] is what somebody authorized, before anything is stored: it travels
// sealed in an authorization code ([Code]), or waits in the row of a device or of a
// decoupled sign-in. A [Family] is made of it when it is exchanged for tokens; its ID was drawn
// long before, so the row is at the same time the spent mark: of two exchanges one
// finds it there. A refresh token ([Token]) is the family's ID, its generation and
// MACs over them, and its successor is a function of these.
//
// Not here: HTTP, clients and how they prove who they are, access and ID tokens.
//
// Invariants: a family is never made twice. Nothing stored could be presented as a
// code or token. What revokes is decided by log indexes, never by clocks.
package family

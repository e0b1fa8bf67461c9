// Package ciba keeps the requests by which an application asks a user whom it knows, over
// no browser of its own, to sign in or to approve something (OpenID Connect
// Client-Initiated Backchannel Authentication Core 1.0), in the modes poll and ping.
//
// A [Request] is one row from the start to the exchange. The user sees it under
// /account/approvals, with the words of the application that also stand on the device
// where it began, and decides; the application polls meanwhile (federation/poll), or is
// told when to come by a [Pinger], whose work waits in rows that are written with the
// decision.
//
// Not here: HTTP, pages, and ways of calling the user's attention: nothing pushes yet.
//
// Invariants: an application cannot fill a user's list (see [MaxPending]); what was
// decided once is not decided again, and only by the user who was asked; the token that
// a client is pinged with is stored sealed and shown nowhere.
package ciba

// Package oidc is the OpenID provider: OAuth 2.0 with PKCE, OpenID Connect Core,
// discovery, JWKS, userinfo, revocation, introspection and RP-initiated logout.
//
// fosite gives the request and response pipeline, the error type and the
// configuration hooks; it stays inside this package. Parsing, client
// authentication, grants and writers are ours, because one request may cost one
// log entry at most: authorize 0, code exchange 1, refresh 1, client_credentials 0.
//
// One idea carries it: the family, the record of one authorization (room family),
// is at the same time the spent mark of its code. DESIGN.md tells the flow and the
// price of each decision.
//
// Not here: signing in (identity/authn shows the pages' steps), applications
// and claims (federation), keys (keys), pages (api).
//
// Invariants: whatever is answered "yes" without a log entry was decided on a
// state that Config.Fresh vouched for. A client is authenticated before
// anything it presents is looked at. No token, code or secret is ever stored in
// a form that could be presented.
package oidc

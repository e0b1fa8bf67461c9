// Package setup is the page of a setup link (`quis setup-link`): by it somebody makes themselves an
// administrator of the default tenant, the first one or, later, another.
//
// The use of the link, the account and its session are one transaction, so that of two people who have
// the same link one comes in. Whoever made the link is who acts in it. The rules are those of
// identity/credential; cookies and the way on are those of the room above.
//
// Invariants: looking at a link uses nothing up; no hash is spent on who has none that works; a password
// never comes back. All of it works without JavaScript.
package setup

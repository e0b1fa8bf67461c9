// Package device holds the browsers that a user is trusted in: where a second factor
// was proved and is not asked for again, until the trust ends or is revoked.
//
// The browser carries a sealed cookie that names a row and says nothing else; the row
// decides, so that trust can be listed and taken back on any node at once. The cookie
// is of use for one user of one tenant, and for none after a backup was restored.
//
// Invariants: trust never replaces the first factor; a cookie without its row is
// nothing; a new password, and the removal of a factor, end all trust of the user
// (the rooms of those call [RevokeAll] in their own transaction).
//
// Not here: whether a tenant lets devices be trusted and for how long, the name and
// attributes of the cookie, and the browsers that authn knows by earlier sign-ins,
// which only keep a lockout from hitting their owner.
package device

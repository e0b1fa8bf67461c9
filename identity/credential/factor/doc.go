// Package factor takes away what people prove themselves with besides the password, of whatever
// kind it is: authenticator apps, passkeys, recovery codes, certificates, browsers that approve.
//
// Each kind has a room of its own, which removes one of its own and writes the event; here is
// which of them an ID belongs to, and what all of them together are. The trust in devices ends
// with any of them.
//
// Invariants: an ID of another person, or of what is no factor, is fsm.ErrNotFound, and nothing
// is removed; [RemoveAll] leaves none of the kinds that [Remove] knows.
//
// Not here: whether anything is left to sign in with (identity/spare), who may do it, devices
// and access tokens, which are no factors.
package factor

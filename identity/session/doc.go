// Package session holds who is signed in: one replicated row for each browser,
// found by a cookie on any node.
//
// The cookie carries the session's ID, a secret of which the row has only a hash,
// and the log index that wrote the row, all under a MAC: a node that has not come
// so far yet waits for it, but only for cookies that this cluster has made.
//
// A session ends at its absolute lifetime, after having been idle, when it is
// ended, and with its user: one who is disabled or gone has no session, whatever
// rows are left. The tenant's settings say how long both are, and they are read with each
// session: lowering them ends sessions on every node at once. Where a person asked to stay
// signed in, and may, idleness does not count, but the end does. "Last seen" is kept in memory and written together for all
// sessions now and then ([Store.Run]), never an entry for a request.
//
// What was proved in a session counts as long as what it was proved with is the person's ([Disown]).
//
// An administrator can act as somebody else in a session that says so ([Impersonation]): for
// an hour at most, while the tenant allows it and the administrator may, and every event of
// it names who acted.
//
// Invariants: no answer "signed in" from a state that may be too old (Config.Fresh);
// the secret is nowhere but in the cookie; a new sign-in always makes a new secret.
//
// How a person proves who they are is not here, nor the name and attributes of the cookie.
package session

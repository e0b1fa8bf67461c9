// Package directory holds who there is: tenants, users, groups, and which user is
// in which group. Every function takes a transaction; callers compose them with
// those of other rooms in one fsm Update.
//
// Rules live inside the functions, so no caller can pass them by: usernames,
// addresses and group names are unique within a tenant however they are spelled
// (see usernameKey and emailKey), all text is bounded and normalized, the default tenant
// keeps an administrator once it has one, of those who can sign in if there are such, and every change appends an event with what was
// before and after.
//
// A change names the revision it is based on, as a Get returned it; 0 means any.
// If the row has moved on the change reports identity.ErrPrecondition.
//
// Users are listed by username, and found by the beginning of that, of their address, and of any word
// of their names; no page looks at more than some of them.
//
// Removing a user or group with more memberships than fit one transaction leaves
// the rest behind as rows that nothing shows any more (IDs are never used again);
// [Sweep] removes them.
//
// Passwords, tokens and sessions are not here, nor is what an application may see of a user.
package directory

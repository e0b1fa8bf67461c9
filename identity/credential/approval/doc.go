// Package approval lets people approve a sign-in in one browser from another in which they
// are signed in: as a second factor, with a number that the one shows and that has to be
// typed into the other.
//
// A browser that a person allowed to approve is an [Approver]. It is worth something only
// while they are signed in there: the row names the session, a sealed cookie brings the
// next one of the same browser ([SignedIn]), and the session of now decides. A sign-in asks
// ([Ask]), an approver answers ([Answer]) or anybody signed in refuses ([Refuse]), and the
// transaction that ends the sign-in spends the answer ([Accept]). All of one person is one
// row, so that what is asked and answered at several nodes at once is decided in order.
//
// Invariants: a request is answered once, within two minutes, by its number, and spent
// once, by the flow that asked; a person has one open request and at most five an hour, and
// three wrong numbers end it, so that nobody is worn down until they press a button; an
// approval is never the ground of another ([Strong]). What is asked costs a log entry, so
// the caller has seen the first factor.
//
// Not here: whether this is offered, which is policy's; the pages; who is signed in; what
// calls a browser that is closed (identity/notify/push). It is no resistance to phishing:
// the person can be talked into typing a number. So it never stands alone beside a password
// (package authn), and recovery does not take it.
package approval

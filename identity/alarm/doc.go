// Package alarm is what happens when a person says "this wasn't me": the token of the link
// in a notice, and the one transaction that it starts, which [Secure] is also for people who
// say so while they are signed in: what is taken away is the same.
//
// The token is sealed and names user and event; it is good for two weeks and once. Whoever
// holds it can lock an account down, and take from it the ways to sign in that were added since
// that event; it gives no access. So for these two weeks a new second factor does not hold up
// whoever reads the person's mail: the price of getting rid of one that was not theirs.
//
// Not here: the letter that carries the link (package notify), the page that asks before it
// acts, and how people get back in (package regain), which is stopped.
package alarm

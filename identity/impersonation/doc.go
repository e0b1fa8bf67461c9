// Package impersonation gives an administrator leave to act as somebody else: a sealed ticket,
// which is on record before anybody has it, begins a session that says who acts in it.
//
// A ticket is good once, on whatever node, for five minutes, and only while the tenant allows
// it and the administrator may: that is asked when it is made, when it is used, and from then on
// each time the session is looked at, which is package session's, like how long it
// lasts and how its end is told.
//
// Not here: links and pages, and what is refused in such a session.
package impersonation

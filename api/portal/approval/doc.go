// Package approval is where a person has browsers approve their sign-ins, and where they do
// it: a card on /account/security with the browsers, and /account/approvals/sign-in with the
// sign-in that waits.
//
// The page says where the sign-in comes from and asks for the number that the other browser
// shows. Nothing there approves with one press, and nothing with a link. Whoever is signed
// in may refuse, or say that it was not them, which shuts everybody else out; only a browser
// that was allowed to may approve, in a session with two factors of its own.
//
// Invariants: a browser is allowed by itself, after a recent proof ([portal.Visitor.Fresh]),
// and by nobody who has no second factor of another kind; all of it works without JavaScript.
package approval

// Package authn signs people in: a state machine over a sealed flow that the
// browser carries, so that any node can take the next step and an anonymous
// request costs no log entry.
//
// A protocol begins a flow with what it needs ([Flows.Begin]); the login pages
// bind it to a browser ([Flows.Bind]), load it and offer the step it stands at
// ([Flow.Step]); each step proves one thing and hands the flow back; none calls
// another. When nothing is left to prove, one transaction makes the session, marks
// the flow spent, and writes the events. DESIGN.md says why it is so.
//
// Invariants: a flow makes one session at most, on whatever nodes it is finished;
// a flow is of use only in the browser it is bound to; an answer never tells an
// unknown user from a wrong password, in its words or its time; a failed attempt
// is counted, but never by an entry of its own ([Flows.Run]).
//
// Passwords themselves, sessions, cookies and pages are other rooms'; so is guessing at many
// names at once (package wave).
package authn

// Package throttle slows down guessing at one name: an attempt may come only a while after the
// last one that failed, from the same network or device, and from everywhere together.
//
// Attempts under way count as failures until they are not, or a hundred guesses at once would
// each see none before it. A failure writes nothing at once: what a node has counted waits in
// memory, within bounds, and is taken in portions, of which the caller writes each in one
// transaction ([Attempts.Take], [Portion.Write]). Failures that are alike become one event with a
// count; under attack those that are too many to be told apart become one as well.
//
// Invariants: nobody is locked out, for delays end and what is refused is not counted; a browser in
// which the user has signed in before counts by itself; names that nobody has count like those of
// users; strangers have room for so many attempts only.
//
// Not here: what a name, a network or a device is (identity/authn), guessing at many names at once
// (identity/authn/wave), and limits of requests (api/limit).
package throttle

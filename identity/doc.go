// Package identity is the vocabulary of the people floor: identifiers, the tenant,
// actor and request that a context carries, kinds of error and secrets that keep
// out of logs. The rooms below it hold the rules.
//
// It knows no table and no room. What is here is shared by at least two rooms, or
// by every front door; anything else lives in the room that owns the idea.
//
// Invariants: an ID names its kind by its prefix and sorts by creation; an error
// text meant for a person is in [Error] and nowhere else; a [Secret] prints only
// when it is asked by [Secret.Reveal].
package identity

// Package recovery holds recovery codes: ten random codes that a user keeps on paper for
// the day on which the telephone is gone, each good for one sign-in.
//
// A set is shown once, when it is made; stored is a MAC of each code under a key of the
// sealing ring, bound to the user, so that a stolen store alone is nothing to guess
// against. A new set takes the place of the former. A sign-in is two steps: [Check] reads,
// [Accept] takes the code out of the set in the transaction that finishes the sign-in.
//
// Invariants: a code is accepted once in the whole cluster, because the row without it is
// the spent mark; codes are compared in constant time, all of a set; a set that is removed
// ends all trust in devices.
//
// How many wrong codes are too many is for the flows that ask. A backup brings back the
// set as it was: codes used since are good again, until the user makes new ones. To void
// them all instead would lock out whoever has nothing else left.
package recovery

// Package device keeps the authorizations of devices that have no browser (RFC 8628): a
// device shows a short code, a person types it in on something better and decides, and the
// device, which has polled all the while, gets its tokens.
//
// An [Authorization] is one row from the start to the exchange, at most ten minutes. It
// holds what was asked for, who asked from where, and once approved the grant of which the
// family is made; the family's ID was drawn at the start, so that however many exchanges
// run, on whichever nodes, one of them makes it.
//
// Not here: HTTP, the pages that show a code, and the device code, which is a MAC over the
// family's ID (federation/poll) and stored nowhere.
//
// Invariants: nothing is approved but by [Approve], with a session; what was decided once
// is not decided again; an approval never holds more than was asked for.
package device

// Package regain is how people get back into an account when ways of signing in are lost:
// what waits between asking and coming in, who has to agree, and how it ends.
//
// There are two roads. A person who has lost their second factors proves what they still
// have, waits as long as the tenant says while every channel known is told, and proves it
// again ([Begin], [Finish]). Or an administrator makes a link that works once ([NewLink]),
// which a second one has to approve where the tenant wants two ([Approve]). Which proofs
// are enough the tenant says, too ([Combinations]).
//
// Invariants: one recovery of a user waits at a time, and it ends in the transaction that
// takes it from its row, so that of those who finish or cancel it at once, on whatever
// nodes, one does; with it go all second factors, trusted devices and sessions, so that
// what was lost opens nothing afterwards; nobody agrees with themselves, nor for a day with
// an administrator whom they appointed (settings.Second), and where two have to agree one does
// not let in anybody by another way ([Single], settings.Alone); every step is an event; what
// waits does not outlive a restored backup.
//
// Not here: how anything is proved, which is authn's; pages; the letters; and holding back
// administrators of the default tenant who have a node of theirs join, or a backup sealed for
// themselves: they have what is on the machine, as its operator does.
package regain

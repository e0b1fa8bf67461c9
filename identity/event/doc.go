// Package event is the memory of what happened: one hash-chained journal for all
// tenants, appended in the same transaction as the change it tells of, so that
// neither can be there without the other.
//
// It is read in two ways. As the audit trail: [List] pages through a tenant's
// events, [Get] finds one, [Verify] recomputes the chain and [VerifyAgainst] proves that nothing
// an auditor had seen has been changed or removed since. As the outbox: [Follow]
// hands every event to a reader at least once and in order, keeping its place in a
// replicated cursor; the event's ID is the reader's idempotency key.
//
// An event holds no secret, and nothing of a stranger's beyond a bounded,
// printable piece. Nobody is called when something happens; who wants to know follows.
//
// Retention and export of old events are not here.
package event

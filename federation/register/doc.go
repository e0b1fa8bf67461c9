// Package register lets applications register themselves: by the registration endpoint
// (RFC 7591, RFC 7592), as far as the tenant's policy lets them, or by a document that
// their client_id leads to (Client ID Metadata Documents).
//
// What it is not: the rules of an application, which are federation's and hold for
// everybody. What is here is what strangers may do, and nothing by default.
//
// Invariants: what the policy does not name is refused, at each change as at the first
// one. An initial access token is spent in the transaction that makes the application. A
// registration access token opens its own application alone. Nothing that a stranger
// sends costs a log entry before it was found good.
package register

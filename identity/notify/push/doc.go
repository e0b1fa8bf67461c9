// Package push tells people in their browsers, by Web Push, that a sign-in waits for their
// approval, or that somebody is getting back into their account: the browser need not have a page
// of ours open.
//
// A [Subscription] is what a browser gave for that: the address of its maker's push service,
// and keys. It belongs to one session and goes with it. Browsers change it by themselves, so
// each page compares ([Mark]), and what the browser has now is kept ([Follow]). Messages are encrypted
// to the browser (RFC 8291), and signed by the cluster's key, which the subscription is bound to
// (VAPID, RFC 8292); after a year browsers are given another ([Room.Key]). [Room.Tell] sends them from
// the node that was asked, once, and waits for nobody: what cannot be delivered within the life of
// the question is of no use. A tenant has no more than a share of what is sent at once (lane).
//
// [Room.Warn] is for a recovery, or another password by mail, which may be that of whoever reads the person's
// mail; it waits a day for a browser, and tells of the same thing once, as far as this node remembers.
//
// Invariants: a message says that somebody signs in, or gets back in, in words that are the same for
// everybody; it holds no number, no name, no address and nothing that could answer. The
// address is a stranger's choice, so it is https and goes through the guard that is handed
// in. What a push service calls gone is sent to no more; that its person wants to be told stays,
// until they, their session or the right to approve ends it, and nothing else begins it.
// Subscribing and unsubscribing cost a log entry each, sending none.
//
// Not here: who may approve (identity/credential/approval), who is told when
// (identity/authn), what shows the message (api/page, the service worker), and which
// addresses may be dialled.
package push

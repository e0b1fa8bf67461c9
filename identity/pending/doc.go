// Package pending holds what waits until somebody follows a link: invitations of people
// who have no account yet, and changes of an address.
//
// A link's secret is random, long, returned once and stored as its SHA-256; that of an
// invitation that is mailed is made of the ring and a nonce, when it is sent, so that it is in
// no log and no node that dies takes it along. What it
// allows is done in the transaction that deletes its row, so that of two who follow it at
// once, on whatever nodes, one finds it gone. What has expired is as good as gone, even
// before its row is.
//
// Not here: sending the links, and the pages that they lead to.
package pending

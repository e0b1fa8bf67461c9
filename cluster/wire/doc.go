// Package wire is how the nodes of a cluster talk: one TLS 1.3 port that carries
// Raft, node-to-node calls and the entry of new nodes, told apart by ALPN.
//
// On quis-raft/1 and quis-rpc/1 both sides show a certificate of the cluster's own
// authority, in which a URI names cluster and node (quis://cluster/node); no byte
// behind the handshake is looked at before that is verified. On quis-join/1 there
// are no node certificates yet: both sides prove that they hold the same root key,
// by a MAC over keying material exported from this very TLS connection, so neither
// a recorded proof nor one relayed by somebody in the middle is worth anything. On
// quis-token/1 the caller has a join token, which pins the key of the cluster's authority:
// the member shows a certificate of that before the caller sends anything, then both prove
// in the same way that they know the token.
//
// Calls are length-prefixed CBOR frames with a size limit and a deadline, many at
// a time over one connection per peer. A caller learns whether its call was
// certainly not delivered ([ErrNotSent]), answered with a [Fault], or lost.
//
// Not here: what the calls mean, who is a member, and retries.
package wire

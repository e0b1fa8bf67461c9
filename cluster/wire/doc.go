// Package wire is how the nodes of a cluster talk: one TLS 1.3 port that carries
// Raft, node-to-node calls and the entry of new nodes, told apart by ALPN.
//
// On quis-raft/1 and quis-rpc/1 both sides show a certificate of the cluster's own
// authority, in which a URI names cluster and node (quis://cluster/node); no byte
// behind the handshake is looked at before that is verified. On quis-join/1 there
// are no node certificates yet: both sides prove that they hold the same root key,
// by a MAC over keying material exported from this very TLS connection, so neither
// a recorded proof nor one relayed by somebody in the middle is worth anything.
//
// Calls are length-prefixed CBOR frames with a size limit and a deadline, many at
// a time over one connection per peer. A caller learns whether its call was
// certainly not delivered ([ErrNotSent]), answered with a [Fault], or lost.
//
// Not here: what the calls mean, who is a member, and retries.
package wire

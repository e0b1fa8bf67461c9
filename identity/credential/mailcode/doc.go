// Package mailcode makes the codes and links that are sent by mail to somebody who wants to
// sign in, and checks what comes back. It has no table: what it must remember travels
// with the flow, sealed.
//
// One mail carries a code of six digits, to be typed, and a token for a link, to be
// followed in the same browser, or one of the two; either is good for ten minutes, where
// Means lets it count. The state holds MACs of
// both under a key of the ring, never the two themselves.
//
// Invariants: New does the same work for somebody who does not exist, and what it returns
// looks the same; nothing is ever right for them. Each node allows five guesses for each
// state, so a cluster of n nodes allows 5·n of a million; of tokens, which have 128 bits, it counts none.
// It remembers the 100 000 states that were tried last, so nobody is shut out by who tries many. Wrong guesses
// should also be counted where those of passwords are, by account and network. Single use is the flow's:
// the transaction that makes the session spends it.
package mailcode

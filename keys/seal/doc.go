// Package seal encrypts what must not be read where it is stored or carried.
//
// A [RootKey] is given to every node by its operator and never enters the log. It
// wraps a ring of random sealing keys, which are rows of the store; the [Ring]
// seals everything else: private signing keys, and the flows and codes that
// browsers carry for us. A new root key so means wrapping a handful of rows again ([Rewrap]),
// and never touching what they have sealed; see package cluster/rootkey.
//
// A box is version, sealing key id, nonce and ciphertext. The cipher is
// XAES-256-GCM: AES-256-GCM with a fresh key for every 192-bit random nonce,
// because all nodes seal under one key at thousands of boxes a second, and a plain
// 96-bit random nonce must not be drawn more than 2^32 times. The purpose is bound
// twice, as the HKDF label of the subkey and in the authenticated data, so a box
// made for one purpose opens for no other.
//
// Sealing keys are never removed by age alone: things live as long as what they
// sealed, and only the rooms above know how long that is ([Ring.Retire]).
//
// Not here: HSMs and key managers, signing (package keys), and
// any idea of what the plaintexts are.
package seal

// Package netns gives real processes a real network that can break: hosts with
// one address each on one switch, made of network namespaces and veth pairs, and
// nftables rules that drop what goes from one host to another, in one direction or
// both, always or by chance. The caller's own namespace reaches every host at any
// time: clients are not part of what breaks.
//
// It needs root, ip(8) and nft(8); New says so if they are missing. Nothing of it
// has a name that could outlive the process: namespaces live as long as the
// threads that hold them, and their interfaces end with them, so that even a
// killed test leaves nothing behind.
//
// It does not delay or reorder packets, and knows nothing of what runs on a host.
package netns

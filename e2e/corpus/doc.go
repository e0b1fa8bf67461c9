// Package corpus keeps what earlier releases have written, and proves that this one
// reads it: for each release a whole Raft log of a node on which people signed in and
// an administrator worked, and a store stream taken half way, with the position, the
// hash chain and the state hash that the release itself had come to.
//
// A release adds its directory with
//
//	go test ./e2e/corpus -run Record -record testdata/VERSION
//
// and never changes an older one. What is in there is sealed under the root key beside
// it, which nothing else uses.
package corpus

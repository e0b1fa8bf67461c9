// Package breach knows passwords from leaks: by a set in a file, which `quis breach build`
// makes from the list of Have I Been Pwned, and by a service with the range protocol of
// that list, which learns the first 20 bits of a SHA-1 and nothing else (k-anonymity).
//
// The set is a binary fuse filter (Graf and Lemire, 2022) in 4096 parts: 18 bits for each
// password, no false "unknown", one false "known" in 65 536. It is read where it lies, six
// bytes for each question. It is not mapped into memory: a file that somebody cuts short
// would then kill the process, so it is an error instead.
//
// Invariants: no password, hash or prefix is logged, stored or in an error; what other
// machines send is bounded; when nobody can be asked, the answer is an error that callers
// take for "unknown", because a service that is down must not keep people out.
package breach

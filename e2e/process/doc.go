// Package process tests quis as operators meet it: real binaries, real disks,
// real kills. Nothing is imported but the testbed, so whatever holds here holds
// for the release: that people and applications live through kills of the leader,
// and that bad input, damaged files and a full disk are refused in words and lose
// nothing. `make test` runs each story once; `make faults` repeats the leader
// kills (QUIS_KILLS) until the figures mean something.
package process

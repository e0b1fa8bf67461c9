// Package process tests quis as operators meet it: real binaries, real disks,
// real kills. Nothing is imported but the testbed, so whatever holds here holds
// for the release. `make test` runs each story once; `make faults` repeats the
// leader kills (QUIS_KILLS) until the figures mean something.
package process

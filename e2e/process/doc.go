// Package process tests quis as operators meet it: real binaries, real disks,
// real kills, real networks that break (e2e/netns) and disks whose plug is pulled
// (e2e/faultfs). Nothing of the product runs in the test itself, so whatever holds
// here holds for the release: that people and applications live through every fault
// of [TestFaults], judged by e2e/history, and that bad input, damaged files and a full
// disk are refused in words and lose nothing. `make test` runs each story once and a
// short selection of the faults; `make faults` and `make soak` go on until the figures
// mean something.
package process

// Package house injects faults into a cluster of whole nodes in one process, and
// proves that nothing which was acknowledged is lost and nothing single-use is used
// twice.
//
// Every node is a real one: its store, its log on disk, its rooms and its listeners;
// clients speak HTTP to it. Faults come in where nodes touch the world: the [Network]
// through which they dial each other can cut, delay and reset each direction by
// itself; the store's file system forgets at a crash what was not synced, as much as
// the [Room] is told; clocks are set; and operators transfer, remove, demote and
// promote. What clients saw goes to e2e/history, which judges it.
//
// A [Plan] follows from its seed alone: the same seed gives the same faults on the
// same nodes for the same times. What comes of them depends on the machine, so a seed
// that found something finds it again soon, not at once. `QUIS_SEED=7 go test
// ./e2e/house` runs one plan, `QUIS_FAULTS_FOR=5m` goes on with fresh ones.
//
// Not here: faults that need a process of its own (SIGSTOP, a frozen disk, nftables);
// they are in e2e/process.
package house

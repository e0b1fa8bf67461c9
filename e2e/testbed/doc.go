// Package testbed starts real quis processes and speaks to them as a person's
// browser or an application's server would: over HTTP, knowing nothing of what
// is inside. The suites in e2e/process, e2e/browser and e2e/bench stand on it.
//
// `quis dev` owns fixed ports, so only one testbed runs on a machine at a time:
// Start waits for its turn on a file lock. Everything it starts ends with Stop,
// and, should the test die, with the test.
package testbed

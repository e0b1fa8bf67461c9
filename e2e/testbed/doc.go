// Package testbed starts real quis processes and speaks to them as a person's
// browser or an application's server would: over HTTP, knowing nothing of what
// is inside. The suites in e2e/process, e2e/browser and e2e/bench stand on it.
//
// Each `quis dev` gets ports of its own, so testbeds run beside each other and beside a
// developer's own; which are taken is kept by locks on files. Everything that is started
// ends with Stop, and, should the test die, with the test.
package testbed

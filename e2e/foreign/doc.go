// Package foreign holds no code: its tests let clients that others have written sign a
// person in against three nodes behind a round-robin proxy, so that what quis says is
// judged by those who did not write it.
//
// The npm packages run under Node.js (testdata/package.json, with a lock file; they are
// installed into the user's cache), mod_auth_openidc in an Apache of its own. `make test`
// installs what is missing from Debian where it may; elsewhere it says that this room is
// left out, and in CI it must run. The person's browser is [testbed.Browser], which knows
// no JavaScript.
package foreign

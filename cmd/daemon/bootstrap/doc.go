// Package bootstrap puts users, groups, applications and access tokens that a YAML
// file declares into the default tenant when a node starts.
//
// The file is read strictly: every unknown or repeated key, wrong type and missing
// value is reported, all at once, with line and column and what was perhaps meant.
// Nothing of a value ever appears in an error, since values are passwords here.
// Anchors, aliases, tags and several documents in one file are refused.
//
// [File.Apply] creates what is not there and changes what differs, so it may run at
// every start and on several nodes at the same time: a file that is fulfilled costs no
// log entry. A key that is absent leaves alone what it would set; memberships are only
// added; nothing is ever deleted. What the file says wins over what was changed since.
//
// Not here: other tenants, and settings of a node (cmd/daemon).
package bootstrap

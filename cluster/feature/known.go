package feature

import (
	"slices"
	"strings"
)

// A Feature is something that nodes of different releases must agree on.
type Feature struct {
	Name string // stored for ever; lower case, with a number where there are several: "row/2"
	Does string // one sentence for operators
	// Base is what the release before this package reads already: announced for the
	// releases to come, never activated.
	Base bool
	// OnDemand waits until somebody needs the feature: see [Want].
	OnDemand bool
}

// known is every feature of this release. Names are never used for something else.
var known = []Feature{
	{Name: "row/1", Does: "rows with revision, expiry and index entries", Base: true},
	{Name: "batch/1", Does: "batches of verified reads and writes", Base: true},
	{Name: "entry/1", Does: "stamped log entries of many batches", Base: true},
	{Name: "stream/1", Does: "the whole store as one checked stream", Base: true},
	{Name: Epoch, Does: "what is sealed for passing use is bound to the time since a backup was restored", Base: true},
	{Name: Revocation, Does: "certificates of removed nodes are refused, and those of nodes that come again are numbered", Base: true},
	{Name: Applications, Does: "settings of applications beyond those of the first release, and what hangs on them", OnDemand: true},
	{Name: PushKeys, Does: "a second key for push messages, beside the one that subscriptions were made with", OnDemand: true},
	{Name: SecurityKeys, Does: "security keys that are asked for after a password and verify nobody", OnDemand: true},
	{Name: DeviceBound, Does: "policies that ask for passkeys which never leave their device", OnDemand: true},
	{Name: Authentication, Does: "second factors, passkeys, and what a tenant decides about signing in", OnDemand: true},
}

// Authentication is needed of every member before anybody may have a second factor: an
// older release would let them in without it.
const Authentication = "authentication/2"

// DeviceBound is needed of every member before a policy asks for it: an older release would be content
// with any passkey.
const DeviceBound = "device_bound/1"

// SecurityKeys is needed of every member before there is one: an older release would take it for a
// passkey that begins a sign-in, and refuse it.
const SecurityKeys = "passkeys/2"

// PushKeys is needed of every member before another key for push messages is made: an older release
// would sign with it for browsers that know the former one.
const PushKeys = "push/2"

// Applications is needed of every member before an application may have settings that
// an older release would lose with its next change, and would not hold anybody to.
const Applications = "applications/2"

// Revocation is needed of every member before certificates are revoked.
const Revocation = "revocation/1"

// Epoch is needed of every member before a backup may be restored, which activates it.
const Epoch = "epoch/1"

// Set when linking, by tests of mixed releases alone, as names separated by commas:
// what this binary reads beyond its release, and what of its release it does not
// ("all": it is a binary of the time before this package).
var (
	added    string
	withheld string
)

// Known returns the features that this binary reads.
func Known() []Feature {
	if withheld == "all" {
		return nil
	}
	out := slices.Clone(known)
	for _, name := range split(added) {
		out = append(out, Feature{Name: name, Does: "a trial"})
	}
	return slices.DeleteFunc(out, func(f Feature) bool { return slices.Contains(split(withheld), f.Name) })
}

// Names returns the names of features, sorted, as a node announces them.
func Names(features []Feature) []string {
	var out []string
	for _, f := range features {
		out = append(out, f.Name)
	}
	slices.Sort(out)
	return out
}

// gated returns the names of what waits to be activated.
func gated(features []Feature) []string {
	var out []string
	for _, f := range features {
		if !f.Base && !f.OnDemand {
			out = append(out, f.Name)
		}
	}
	return out
}

func split(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

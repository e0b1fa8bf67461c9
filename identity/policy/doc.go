// Package policy says whether what a person has proved is enough: a pure function from
// [Facts] to a [Decision], the same for signing in, for tokens, and for a dry run.
//
// Everybody who has a say adds to what is asked, and the strictest wins: the tenant,
// the person's groups, the application, the request, and the person, who by enrolling a
// second factor has asked to be asked for it. Nobody can take anything back. The strictest of all is
// [DeviceBound], to which a passkey that may be copied to other devices is none.
//
// Invariants, each held by a test over all combinations: a stricter rule, an older or
// missing proof never let more people in. Whoever is asked to enrol
// has proved before what they have, so that a stolen password enrols nothing.
//
// Not here: reading facts from the store, and asking people for anything.
package policy

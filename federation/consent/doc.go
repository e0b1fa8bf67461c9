// Package consent is what people have allowed applications: what has to be asked, how the
// question travels, and what was answered.
//
// [Decide] says what is missing. A [Question] carries that, sealed, through the page that
// asks (api/consent) and costs no log entry. [Desk.Allow] is the one entry: it remembers
// the [Consent] and leads back with a ticket; a refusal leads back without one. [Revoke]
// takes back what was allowed, and the tokens that came of it.
//
// What it is not: who a person is (identity/authn), whether they may use an application
// at all (federation.MayUse), what a scope means (federation/resource), or a page.
//
// Invariants: what is remembered was in a question that we sealed, for this user, in this
// session; the form can leave out of it what is optional and add nothing. An answer counts
// once: the row's revision is in the question. The ticket names the family that its code
// will make, so of all codes that come of one answer one can be exchanged. What was given
// by a state that did not know of a revocation yet is void, by log index, not by clocks.
package consent

// Package settings holds what a tenant decides about signing in: one row per tenant, with
// safe defaults where nobody has decided anything.
//
// [Get] never misses: a tenant without a row has [Default]. A row is whole, so that a
// default that changes with a release changes nobody's decision; a field that comes
// later must therefore mean with its zero value what held before it.
//
// Invariants: what could not be held is refused with the field named, and so is what
// would leave nobody a way to sign in. Every change is an event that says what was before.
// That two administrators have to agree ends only when two agree ([AskLowering], [AgreeLowering]), or by
// the operator of the machine; what else needs a second one asks [Second] who may be it.
//
// Not here: what follows from a decision. identity/policy says who must prove what,
// identity/authn asks for it.
package settings

// Package spare says what of their ways to sign in a person can do without, so that nobody
// takes away the last one themselves, from whichever page.
//
// What they have is a [Left]; what they would have without something is another one, and
// [Left.Spare] compares the two; [Left.First] says what to add so that it may be. What begins a sign-in is told here; what is asked for after
// that is identity/policy's, which is asked as at a sign-in.
//
// Invariants: recovery codes make nothing else dispensable, because they end, nor do certificates,
// because an operator decides whether browsers are asked for them; a person who cannot be helped any more
// is not kept from removing things. [Without] is asked inside the transaction that removes:
// of two nodes that remove two things at once, one finds the other's gone.
//
// [Governed] says the same of a tenant's rules: whether they leave an administrator a way in. It is asked of
// every change of the tenant's settings, of what a group asks for, and of authorities, but not of lists of what
// was revoked, which hold whomever they shut out. Here certificates count, as long as they are good today (see
// certificate.GoodOf): the operator who stops asking browsers for them can also make another administrator.
//
// [Enters] is also by what the directory counts administrators when the last one is to stay.
//
// Not here: sentences, which api/portal has; administrators, who may remove anything if they say so.
package spare

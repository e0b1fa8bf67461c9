// Package portal is what a person sees of their own account: who they are, how they prove
// it, where they are signed in, and what was done in their name.
//
// This room is the frame (who is let in, the proof that sensitive changes want, the
// navigation) and the pages that belong to the account as such. The ways of signing in
// stand on /account/security as [Section]s: one that needs more than a list and a button
// (a ceremony, a script, pages of its own) is a room beside this one, api/portal/NAME, which
// imports this one and is handed to [New] by cmd/daemon. Pages of other rooms that belong to
// the account (api/consent) show the same navigation by page.Navigation.
//
// What a person has only one of, the password or a set of codes, goes by a page that asks once
// more ([Removal]). Whether it may go at all is identity/spare's to say, and is asked in the
// transaction that takes it away ([Visitor.Without]).
//
// Whoever is signed in may look. What makes an account easier to enter or harder to keep
// (another password, a new factor, a token) needs a proof that is younger than
// the tenant's settings say, of all that its policy asks: [Visitor.Fresh] sends the person through
// sign-in and back to the form; what they had posted is not kept. Only where they set up what policy
// asks for does it let pass who has not got that yet ([Visitor.FreshToSetUp]). The same is asked once more in the
// transaction that makes the change ([Visitor.UpdateFresh], [Visitor.UpdateToSetUp]): a factor that its person has set up elsewhere
// a moment ago keeps out whoever has the session.
//
// An administrator who acts as somebody else sees these pages with a banner, and can change
// nothing here: every form is refused, and so is every page that wants a fresh proof.
//
// Invariants: a page shows the account of the session and of nobody else, and nothing that
// is asked for names a user; every change reads the session again in its transaction, so one
// that ends meanwhile changes nothing; all of it works without JavaScript.
package portal

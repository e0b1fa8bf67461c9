// Package consent is where people decide what applications may do in their name: whether
// an application gets what it asks for on the way through sign-in ([Pages.Ask]), whether
// a device that shows a code is let in (/device), what applications ask without a browser
// (/account/approvals), and what is taken back (/account/applications).
//
// Every page needs a session. Where a decision gives something to a device or a machine
// elsewhere, its owner must have proved who they are within the last quarter of an hour:
// what is decided there outlives the page; and all that policy asks of a sign-in to the
// application, or they are led to it and back. A decision is posted with what was sealed for
// this session and this very question when it was shown, so nothing is decided that was
// not seen, whoever makes a browser send what. Taking back needs no such thing.
//
// Invariants: nothing is allowed by a link, however complete it is; anything but a clear
// yes is a no; no picture and no script of an application is loaded. A code that is typed in
// wrongly says nothing but that; guesses at codes are held back for each user and address.
package consent

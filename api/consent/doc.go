// Package consent is where people decide what applications may do in their name: whether
// a device that shows a code is let in (/device), and what applications ask without a
// browser (/account/approvals).
//
// Every page needs a session, and one whose owner proved who they are within the last
// quarter of an hour: what is decided here outlives the page. A decision is posted with a
// ticket that was sealed for this session and this very question when the question was
// shown, so nothing is decided that was not seen, whoever makes a browser send what.
//
// Invariants: nothing is allowed by a link, however complete it is; a code that is typed in
// wrongly says nothing but that; guesses at codes are held back for each user and address.
package consent

// Package login is the face of quis: the pages on which people sign in and out, and the start page.
//
// A protocol sends a person here with a sealed flow (/login?flow=…); without one, the
// person begins a flow to the start page. The flow is bound to the browser by a cookie
// when the form is shown, so a flow that somebody else began, or that was copied out of a
// URL, signs nobody in. The steps themselves are [authn.Flows]; here are forms, cookies, words.
//
// Pages of other rooms that end a flow, such as those on which people join (api/login/join),
// do so by [Login.Visit] and [Login.Enter]; that on which an administrator is made (api/login/setup)
// ends none, and does so by [Login.EnterHome].
//
// An administrator who is given leave to act as somebody else begins and ends that here; the
// session that their browser had is put aside meanwhile.
//
// Signing in ends with 200 and a Refresh header, not with a redirect: the way on may lead
// to another origin, and browsers apply form-action to the redirects of a form post.
//
// What a browser remembers of its people (package memory) fills in the form, marks the way that
// was used last, and lets them choose among accounts. It is a comfort and proves nothing.
//
// A certificate is asked for at an address of its own, because browsers choose one when they connect.
// The form leads there, and that leads back with what was found in the flow, by links alone: it
// is the post that follows, in the browser that the flow is bound to, which signs in.
//
// Invariants: no page tells whether a name is known; what was typed as a name comes back
// after an error, a password never; nothing here works only with JavaScript.
//
// Guesses are slowed down in two places: authn delays each name, on all nodes; this
// package limits each address, on this node, before any password is hashed, and looks at few
// passwords of strangers at a time.
package login

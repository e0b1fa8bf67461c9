// Package front is the front channel: what an application sends to the authorization
// endpoint, and gets back from it, through a person's browser.
//
// It has the response modes ([Mode]), the sealed form of a request that was accepted
// before the browser came ([Request]), request objects ([ReadObject]) and the claims
// parameter ([ParseClaims]). All of it is reading and writing: what a request may ask
// for is decided in federation/oidc, and so is who asks.
//
// Invariants: whatever a stranger can send has a limit here. What was sealed for one
// tenant and client does not open for another. A parameter of a request object is never
// mixed with one from outside it.
package front

// Package demo is a small application that signs its users in with OpenID
// Connect: what `quis dev` offers a newcomer, and what our tests drive a browser
// through. It shows the tokens it got, decoded, and has buttons to sign in, to
// refresh, to call userinfo and to sign out.
//
// It is an honest relying party: it knows nothing but the issuer's URL and its
// own client id, imports nothing of ours, and checks what a relying party must:
// state, nonce, PKCE (RFC 7636), iss of the response (RFC 9207), and signature,
// issuer, audience and times of the ID token. Its sessions live in memory.
package demo

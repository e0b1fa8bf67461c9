// Package user is the commands about people: making, inviting, importing and changing them, how they prove who they are besides their
// password, the devices that they are trusted in, taking both back for somebody who has
// lost them, letting people back in, access tokens, and acting as somebody for a while.
//
// A user is named by username, address or ID. What cannot be undone is asked about, unless
// --yes says that it was thought of. No secret is printed but a link or a
// token that the command has just made.
package user

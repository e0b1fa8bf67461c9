// Package factor is what a person sees of their second factors at /account/security:
// authenticator apps, recovery codes, and the devices in which no second factor is asked
// for.
//
// An app is added in one page: it shows a QR code and takes the first code; nothing is
// stored before that. Recovery codes are shown in the answer that made them and never
// again; that page prints well. What makes an account easier to enter (another app, other
// codes, one app less, no codes) wants a recent proof ([portal.Visitor.Fresh]); what makes it harder
// (a name, the end of trust in a device) does not.
//
// Invariants: nobody takes their own last way in, or the last factor that the tenant asks
// for (package spare); no secret is in an address; all of it works without JavaScript.
package factor

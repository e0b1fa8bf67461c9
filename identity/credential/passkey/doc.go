// Package passkey registers and verifies passkeys and security keys (WebAuthn Level 3).
//
// A ceremony has two halves. The first ([BeginRegistration], [Begin]) returns the options
// for the browser and a few opaque bytes, the session, which the caller seals into its flow;
// the second ([Register]; [Finish], then [Accept] in the finishing transaction) takes both
// back. Nothing is stored in between, so an anonymous request costs no log entry, and a
// ceremony is used once because the flow is.
//
// All tenants of a house share its host name and so one RP ID. User handles are random, 32
// bytes, and belong to one tenant and user: a passkey of one tenant, offered in another, is
// refused, and never reported to the browser as unknown, which would remove it there.
//
// Invariants: user verification is read from each ceremony's own authenticator data, and
// counts only for a passkey that has been registered with it; backup eligibility never
// changes; a sign count only grows; a passkey whose count says that there is a copy of it is
// refused from then on, and one whose model the tenant or the metadata do not accept any more
// as long as they do not ([Barred]). Attested means: verified against the FIDO metadata that an operator
// has imported ([ParseMetadata], [Metadata.Import]), which needs no network.
//
// go-webauthn stays inside. Not here: HTTP, flows, levels of assurance, and whether somebody
// may remove their last way to sign in. DESIGN.md says why it is so.
package passkey

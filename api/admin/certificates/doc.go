// Package certificates is the part of the admin API about people's certificates: which
// authorities a tenant trusts to certify them, what has been revoked, and which certificates
// were added to whom.
//
// Not here: what a certificate is good for, which identity/credential/certificate says.
package certificates

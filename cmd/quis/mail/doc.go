// Package mail is the commands about mail: with which server a tenant sends it, whether
// that works, what letters look like, and what became of notices.
//
// What they ask of a node is in api/admin/mail.
package mail

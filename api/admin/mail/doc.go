// Package mail is the part of the admin API about mail: with which server it is sent, what
// letters look like, and what became of notices.
//
// No answer holds a password, a code or a link that works.
package mail

// Package alarm is the page behind a "this wasn't me" link: it asks first, since mail
// programs follow links by themselves, and then locks the account down.
//
// Whoever opens it need not be signed in: the token in the link is what counts. What is done
// is in package identity/alarm.
package alarm

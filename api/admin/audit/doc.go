// Package audit is the part of the admin API that shows the record of events: the list of a
// tenant's, one of them, and whether the chain of all is intact.
//
// Nothing is written here; what happens is told where it happens, in package identity/event.
package audit

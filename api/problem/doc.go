// Package problem turns errors into RFC 9457 problem details: the one place where
// a kind of error becomes an HTTP status for machines.
//
// The rule of the table in kind.go: a status and a title per kind; a detail only if an
// [identity.Error] carries one, since nothing else was written for strangers to read;
// the request ID as instance, under which the log has it. An error of no known kind is 500
// without detail. All are logged here, once ([Report]); a caller that returns an error to
// [Handle] must not log it too.
//
// Not here: OAuth and SCIM errors, which have formats and tables of their own, and
// error pages for people (api/page), which share this table through [Of].
package problem

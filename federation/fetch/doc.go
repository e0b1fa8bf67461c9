// Package fetch speaks HTTP to addresses that somebody else chose: key sets, request
// objects and metadata of applications, what they are told of sign-outs and approvals, and
// the push services of browsers. It is the only room that does.
//
// Whoever registers a URL must not reach through quis what they could not reach
// themselves. So: https only, to public unicast addresses on known ports, and the
// address is checked when it is dialled, after the name was resolved, which leaves a
// name that changes its mind nothing to win. No proxy from the environment, no
// redirect, no cookie, no compression. Operators may open internal networks by
// prefix; a node in development mode may reach its own machine.
//
// Everything that the other side decides is bounded: time, size, media type, how many
// requests are under way, to one host and in all. A cached document is asked for by one
// request at a time and not more than once per interval, whatever comes of it.
//
// Invariant: no error, metric or log line holds a byte that the other side sent. An
// error is fit to be read by whoever registered the URL.
package fetch

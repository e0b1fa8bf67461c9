// Package api is the front door: it takes HTTP requests in, makes them safe to handle and
// hands them to the rooms.
//
// A request on the public listener passes, in this order: counting and recovery from
// panics; its identity (request ID, address of the person behind trusted proxies);
// security headers; the tenant, whose path prefix is taken off; the limit on its body;
// protection against cross-origin requests; the room that serves the path. What no room
// serves is answered here, as a page or a problem, by what the caller accepts.
//
// Rooms find in the context the [identity.Tenant] with its issuer, the [identity.Request],
// and an anonymous actor until they know better. URLs are made from the configured public
// URL, never from the Host header, which a stranger chooses.
//
// The operations listener is a handler of its own, for metrics and health; it must not be
// reachable by strangers. Not here: what the rooms do, and the rate limit of sign-in,
// which counts usernames and so lives in api/login.
package api

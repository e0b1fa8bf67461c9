// Package admin is the REST API under /api/v1 and its description at /api/openapi.json.
//
// One table says everything about every route: method, path, who may call it, the
// types of its request and answer, and the function that does it. The dispatcher, the
// OpenAPI 3.1 document and the tests read the same table, so they cannot disagree.
//
// Requests are read strictly: an unknown member or query parameter, a wrong type, a
// missing required value or a limit exceeded is 400 with a JSON pointer to each fault.
// Errors are problem details (api/problem). Lists are {data, has_more, next}; next goes
// into ?after=. A single resource has an ETag, its revision in the store; If-Match makes
// a change conditional. ?consistent=true makes a read see everything acknowledged before it.
//
// Who calls: an admin user by one of its access tokens, or the operator of the machine
// through the Unix socket, which serves [API.Local]. The tenant is the caller's. Admins of
// the default tenant, and the operator, may act on another one with ?tenant=slug; what
// concerns the installation as a whole (tenants, cluster, audit) is theirs alone.
//
// Not here: rules of the domain, which live in the functions of identity, federation,
// keys and cluster that the handlers call inside one transaction.
package admin

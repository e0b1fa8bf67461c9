// Package resource knows what there is to allow: custom scopes, with what they mean in
// plain words; resource servers, each the audience of tokens (RFC 8707); and the types
// of authorization details (RFC 9396) that a resource server understands.
//
// What it is not: a protocol, and not what anybody has allowed (federation/consent).
// Nothing here is asked whether a person agrees; it says what could be agreed to, who
// may ask for it, and what the token for it is like.
//
// Invariants: a scope's name and a resource server's identifier are unique within their
// tenant. A scope belongs to one resource server at most. An application may ask only
// for a resource server that names it, or that is open to all. Tokens are JWTs (RFC
// 9068); opaque ones are not offered, and asking for them is refused with that reason.
// Every authorization detail is checked against a registered type, member by member;
// what the type does not name is refused. What is accepted has one spelling, so that two
// details are the same exactly if their bytes are.
package resource

// Package dispatch is what the routes of the admin API are made of: a table of typed
// functions, how a request is read into their arguments, and the OpenAPI document that
// follows from it.
//
// Not here: the routes themselves, who may call them, and what they do.
package dispatch

// Package client calls the admin API of quis from Go.
//
//	c, err := client.New("https://id.example.com", token)
//	c, err := client.New("unix:///var/lib/quis/quis.sock", "") // operator on the same machine
//	page, err := c.Users.List(ctx, client.List{Limit: 100})
//
// It is thin: one method per route, the types of the wire, nothing cached and nothing
// tried twice. A refusal is an [*Error] with the HTTP status and the problem that the
// server described. It imports nothing of quis, so that it can be copied or used alone.
package client

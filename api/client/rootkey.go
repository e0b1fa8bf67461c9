package client

import (
	"context"
	"net/http"
)

// A RootKey says which root keys the nodes know, by fingerprint, and how far their
// replacement is.
type RootKey struct {
	InUse     string          `json:"in_use"` // by the node that was asked
	Others    []string        `json:"others"`
	Former    []string        `json:"former"`
	Members   []RootKeyMember `json:"members"`
	Items     []RootKeyItem   `json:"items"`
	Wrapped   bool            `json:"wrapped"`   // every node uses InUse, and all is wrapped under it
	Droppable bool            `json:"droppable"` // the others may go from every file
	Step      string          `json:"step"`      // what comes next, in words
}

// A RootKeyMember is one node's part.
type RootKeyMember struct {
	ID      string   `json:"id"`
	Keys    []string `json:"keys"`              // the one in use first
	Waiting string   `json:"waiting,omitempty"` // what the replacement waits for there
}

// A RootKeyItem is something that hangs on the root key.
type RootKeyItem struct {
	Name string   `json:"name"`
	Keys []string `json:"keys"` // that open it
}

// RootKey returns how the cluster stands with its root keys.
func (c *Client) RootKey(ctx context.Context) (*RootKey, error) {
	return fetch[RootKey](ctx, c, http.MethodGet, "/cluster/root-key", request{house: true}, nil)
}

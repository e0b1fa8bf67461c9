package client

import (
	"context"
	"net/http"
)

// A Finding is what was found when one thing was looked at.
type Finding struct {
	Node   string `json:"node,omitempty"` // whom it concerns; empty: the whole cluster
	Check  string `json:"check"`
	Level  string `json:"level"` // ok, warn or fail
	Found  string `json:"found"`
	Advice string `json:"advice,omitempty"` // what to do about it
}

// A Diagnosis are the findings of a checkup.
type Diagnosis struct {
	Level    string    `json:"level"` // the worst: ok, warn or fail
	Findings []Finding `json:"findings"`
}

// Doctor has every node of the cluster examined; it takes some seconds and needs no quorum.
func (c *Client) Doctor(ctx context.Context) (*Diagnosis, error) {
	return fetch[Diagnosis](ctx, c, http.MethodGet, "/cluster/doctor", request{house: true}, nil)
}

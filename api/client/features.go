package client

import "time"

// ClusterFeatures is what the members' releases have in common.
type ClusterFeatures struct {
	Active []struct {
		Name    string    `json:"name"`
		Since   time.Time `json:"since"`
		Version string    `json:"version"` // of the leader that activated it
	} `json:"active"`
	Waiting []struct {
		Name    string   `json:"name"`
		Missing []string `json:"missing"` // members that do not read it
	} `json:"waiting"`
	Skew string `json:"skew"` // in words, if members run different releases
}

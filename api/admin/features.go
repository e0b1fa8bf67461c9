package admin

import (
	"maps"
	"slices"
	"time"

	"github.com/quis-idp/quis/cluster"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/fsm"
)

// clusterFeatures is what the members' releases have in common.
type clusterFeatures struct {
	Active  []activeFeature  `json:"active" doc:"Formats in use that not every release reads: an older one can neither start nor join."`
	Waiting []waitingFeature `json:"waiting" doc:"Those that wait until every member reads them."`
	Skew    string           `json:"skew,omitempty" doc:"In words, if members run different releases."`
}

func (clusterFeatures) SchemaName() string { return "ClusterFeatures" }

type activeFeature struct {
	Name    string    `json:"name" doc:"Name of the feature."`
	Since   time.Time `json:"since" doc:"When it came into use."`
	Version string    `json:"version" doc:"Release of the leader that activated it."`
}

func (activeFeature) SchemaName() string { return "ActiveFeature" }

type waitingFeature struct {
	Name    string   `json:"name" doc:"Name of the feature."`
	Missing []string `json:"missing" doc:"Members that do not announce that they read it."`
}

func (waitingFeature) SchemaName() string { return "WaitingFeature" }

// features reports on the members, or nothing if the store cannot be read.
func (a *API) features(c *call, members []cluster.Member) *clusterFeatures {
	var ids []string
	for _, m := range members {
		ids = append(ids, m.ID)
	}
	var r feature.Report
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) (err error) {
		r, err = feature.Look(tx, ids, feature.Known())
		return err
	})
	if err != nil {
		return nil // the rest of the status is worth more than this
	}
	out := &clusterFeatures{Active: []activeFeature{}, Waiting: []waitingFeature{}, Skew: r.Skew}
	for _, f := range r.Active {
		out.Active = append(out.Active, activeFeature(f))
	}
	for _, name := range slices.Sorted(maps.Keys(r.Waiting)) {
		out.Waiting = append(out.Waiting, waitingFeature{name, append([]string{}, r.Waiting[name]...)})
	}
	return out
}

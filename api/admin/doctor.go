package admin

import "github.com/quis-idp/quis/cluster/checkup"

type finding struct {
	Node   string `json:"node,omitempty" doc:"Node that it concerns; without it, the whole cluster."`
	Check  string `json:"check" doc:"What was looked at."`
	Level  string `json:"level" enum:"ok|warn|fail" doc:"ok: as it should be; warn: works and wants attention; fail: does not work, or will not for long."`
	Found  string `json:"found" doc:"What was found, for a person."`
	Advice string `json:"advice,omitempty" doc:"What to do about it."`
}

type diagnosis struct {
	Level    string    `json:"level" enum:"ok|warn|fail" doc:"The worst of the findings."`
	Findings []finding `json:"findings" doc:"First what concerns the whole cluster, then node by node."`
}

func (a *API) examineCluster(c *call, _ *none) (*diagnosis, error) {
	found := a.cfg.Cluster.Checkup(c.ctx)
	worst := checkup.OK
	for _, f := range found {
		worst = max(worst, f.Level)
	}
	return &diagnosis{worst.String(), show(found, "", func(f *checkup.Finding) finding {
		return finding{f.Node, f.Check, f.Level.String(), f.Found, f.Advice}
	}).Data}, nil
}

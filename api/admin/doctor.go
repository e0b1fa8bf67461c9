package admin

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/quis-idp/quis/api/admin/mail"
	"github.com/quis-idp/quis/cluster/backup"
	"github.com/quis-idp/quis/cluster/checkup"
	"github.com/quis-idp/quis/fsm"
)

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
	found := a.cfg.Cluster.Checkup(c.Ctx)
	err := a.cfg.DB.View(c.Ctx, func(tx *fsm.Tx) error {
		f, err := lookAtBackups(tx)
		if err != nil {
			return err
		}
		m, err := mail.Finding(tx, a.cfg.Mail)
		firstOfNode := slices.IndexFunc(found, func(f checkup.Finding) bool { return f.Node != "" })
		if firstOfNode < 0 {
			firstOfNode = len(found)
		}
		found = slices.Insert(found, firstOfNode, f, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	worst := checkup.OK
	for _, f := range found {
		worst = max(worst, f.Level)
	}
	return &diagnosis{worst.String(), show(found, "", func(f *checkup.Finding) finding {
		return finding{f.Node, f.Check, f.Level.String(), f.Found, f.Advice}
	}).Data}, nil
}

// lookAtBackups says how old the last one is that was read back whole.
func lookAtBackups(tx *fsm.Tx) (checkup.Finding, error) {
	f := checkup.Finding{Check: "backup"}
	s, err := backup.LoadSchedule(tx)
	if errors.Is(err, fsm.ErrNotFound) {
		f.Level, f.Found = checkup.Warn, "none are scheduled"
		f.Advice = "Schedule backups: `quis backup schedule set --every 24h --target file:///DIRECTORY`. If a job of your own runs `quis backup`, all is well; see that it does."
		return f, nil
	}
	if err != nil {
		return f, err
	}
	runs, err := backup.Runs(tx)
	if err != nil {
		return f, err
	}
	const advice = "Look at the log of the node that leads, and at the target: room, permissions, network."
	good := slices.IndexFunc(runs, (*backup.Run).Good)
	switch {
	case len(runs) == 0:
		f.Found = "the first is about to be made"
		return f, nil
	case good < 0:
		f.Level, f.Found, f.Advice = checkup.Fail, "none has succeeded yet", advice
		return f, nil
	}
	age := tx.Now().Sub(runs[good].Ended)
	f.Found = fmt.Sprintf("the last is %s old and was read back whole", age.Round(time.Minute))
	if age > 2*s.Every+time.Hour {
		f.Level, f.Advice = checkup.Fail, advice
	} else if good > 0 && runs[0].Error != "" {
		f.Level, f.Found, f.Advice = checkup.Warn, f.Found+"; the one after it failed: "+runs[0].Error, advice
	}
	return f, nil
}

package dev

import (
	"context"
	"slices"
	"strings"
	"time"
)

// waitVotes returns when every node that runs has a vote, if it shall have one: until then a
// house that has grown stands on its former nodes alone, and ends with them. It says what it
// waits for, and gives up as late as the start does: how long a node must keep up is a setting.
func (h *house) waitVotes(ctx context.Context) {
	deadline := time.Now().Add(readyWithin)
	said := false
	for ctx.Err() == nil {
		joining := strings.Join(h.joining(ctx), ", ")
		switch late := time.Now().After(deadline); {
		case joining == "":
			return
		case late:
			h.say("\n  No vote yet: %s. Until then the others are all that the cluster stands on; `%s status --wait%s` waits for it.\n", joining, h.Program, h.DirFlag)
			return
		case !said:
			h.say("\n  All nodes run. Waiting for the vote of %s: a node that joins gets it when it has kept up for some seconds …\n", joining)
			said = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// joining returns the nodes that run and have not got their place in the cluster yet: all that
// run, if none of them can be asked.
func (h *house) joining(ctx context.Context) (names []string) {
	var settled []string
	asked := false
	for _, n := range h.nodes {
		if state, _, _ := n.look(); state != stateRunning {
			continue // somebody has ended it meanwhile
		}
		names = append(names, n.Name)
		if !asked {
			ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
			_, some, err := h.Cluster(ctx, n.Dir)
			cancel()
			settled, asked = some, err == nil
		}
	}
	return slices.DeleteFunc(names, func(n string) bool { return slices.Contains(settled, n) })
}

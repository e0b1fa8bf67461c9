package archive

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cluster/recovery"
	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Recover is `quis recover`.
func Recover() *cobra.Command {
	var show, sure bool
	var dirs []string
	c := &cobra.Command{
		Use:   "recover",
		Short: "Bring a cluster back that has lost a majority of its nodes for ever",
		Long: "Makes a stopped node the only member of its cluster. First have --show tell how far every data directory has\n" +
			"come that is left, and take the one with the highest term, then index. What only the lost nodes had is lost, and\n" +
			"everybody is signed out. Wipe the other nodes before they start again: two of three would go on\n" +
			"as the cluster that was. They join as new nodes.",
		Example: "  quis recover --show --data-dir /mnt/a/quis,/mnt/b/quis\n  quis recover --data-dir /var/lib/quis",
		Args:    line.None,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case len(dirs) == 0:
				return line.Usage(cmd, "say --data-dir")
			case show:
				return showStandings(cmd, dirs)
			case len(dirs) > 1:
				return line.Usage(cmd, "only one node can be recovered; the others join it")
			}
			return recoverNode(cmd, dirs[0], sure)
		},
	}
	c.Flags().StringSliceVar(&dirs, "data-dir", nil, "data directory of a stopped node; several with --show")
	c.Flags().BoolVar(&show, "show", false, "only show how far each node has come")
	line.SureFlag(c, &sure)
	return c
}

func showStandings(cmd *cobra.Command, dirs []string) error {
	type standing struct {
		Dir string `json:"data_dir"`
		recovery.Standing
		Best bool `json:"best"`
	}
	all := []standing{}
	best := 0
	for _, dir := range dirs {
		err := daemon.Recover(dir, func(n *recovery.Node) error {
			all = append(all, standing{Dir: dir, Standing: n.Standing()})
			return nil
		})
		if err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
		if s, b := all[len(all)-1], all[best]; s.LogTerm > b.LogTerm || s.LogTerm == b.LogTerm && s.LogIndex > b.LogIndex {
			best = len(all) - 1
		}
	}
	all[best].Best = true
	return line.Emit(cmd, all, []string{"DATA DIRECTORY", "NODE", "TERM", "INDEX", "VOTERS", "BEST"}, func(row func(...any)) {
		for _, s := range all {
			row(s.Dir, s.NodeID, s.LogTerm, s.LogIndex, strings.Join(s.Voters, " "), line.Yes(s.Best))
		}
	})
}

func recoverNode(cmd *cobra.Command, dir string, sure bool) error {
	return daemon.Recover(dir, func(n *recovery.Node) error {
		s := n.Standing()
		err := line.Confirm(cmd, "recover", sure, fmt.Sprintf("Node %s (log index %d of term %d) becomes the only member of what was cluster %s; it had %s.\nIt goes on as a new cluster. What only the others had is lost, everybody is signed out, and the others must stay off until they are wiped.",
			s.NodeID, s.LogIndex, s.LogTerm, s.ClusterID, strings.Join(s.Voters, ", ")))
		if err != nil {
			return err
		}
		kept, err := n.Recover("operator")
		if err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Done. The log as it was is in %s. Start the node; wipe the others, and let them join as new nodes (quis cluster token, quis join).\n", kept)
		return nil
	})
}

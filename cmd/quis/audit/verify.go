package audit

import (
	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func verifyCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "verify",
		Short:   "Prove that no event was removed or changed (exit code 1 if one was)",
		Long:    "Recomputes the chain of hashes over every event on the node asked. Note the head down and compare it later: it must be found again in the same place.",
		Example: "  quis audit verify\n  quis audit verify -o json | jq -r .head",
		Args:    line.None,
		RunE:    line.Answer((*client.Client).VerifyAudit, printVerification),
	})
}

func printVerification(cmd *cobra.Command, v *client.Verification) error {
	err := line.Emit(cmd, v, nil, func(row func(...any)) {
		row("Intact", line.Yes(v.Intact))
		row("Events", v.Entries)
		row("Head", v.Head)
		row("Node", v.NodeID)
		if v.Fault != "" {
			row("Fault", v.Fault)
		}
	})
	if err == nil && !v.Intact {
		return line.Exit{Code: line.Failed, Text: "the record of events is not intact: " + v.Fault}
	}
	return err
}

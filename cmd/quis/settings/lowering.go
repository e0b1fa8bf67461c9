package settings

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func loweringCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "lowering",
		Short: "Switch recovery.two_person off, which needs two administrators",
		Long: "One administrator asks, another one approves. Neither counts who became an administrator within the last day, unless\n" +
			"the operator of the machine appointed them. The operator needs nobody: quis settings set recovery.two_person=false.",
		Example: "  quis settings lowering ask\n  quis settings lowering approve low_01jc8q2v7m3k5t9w0x4y6z8a1b",
	}
	line.Group(c)
	c.AddCommand(
		loweringOf("ask", "Ask for it; another administrator has to approve", (*client.Client).AskLowering),
		loweringOf("get", "Show what waits to be approved", (*client.Client).Lowering),
		approveCommand(), cancelCommand(),
	)
	return c
}

func loweringOf(use, short string, ask func(*client.Client, context.Context) (*client.Lowering, error)) *cobra.Command {
	return line.Online(&cobra.Command{
		Use: use, Short: short, Args: line.None,
		Example: "  quis settings lowering " + use + "\n  quis settings lowering " + use + " -o json | jq -r .id",
		RunE: line.Answer(ask, func(cmd *cobra.Command, l *client.Lowering) error {
			return line.Emit(cmd, l, nil, func(row func(...any)) {
				row("id", l.ID)
				row("by", l.CreatedBy.Kind+" "+l.CreatedBy.ID)
				row("expires_at", l.ExpiresAt.Local().Format(time.DateTime))
			})
		}),
	})
}

func approveCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "approve ID",
		Short:   "Approve what another administrator has asked for: one is enough from now on",
		Example: "  quis settings lowering get\n  quis settings lowering approve low_01jc8q2v7m3k5t9w0x4y6z8a1b",
		Args:    line.Exactly("the ID of what was asked for"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.Row, error) {
				return c.ApproveLowering(ctx, args[0])
			}, show)(cmd, args)
		},
	})
}

func cancelCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "cancel",
		Short:   "Take back what waits to be approved",
		Example: "  quis settings lowering cancel\n  quis settings lowering get",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) (any, error) {
			return nil, c.CancelLowering(ctx)
		}, func(cmd *cobra.Command, _ any) error {
			_, err := fmt.Fprintln(cmd.ErrOrStderr(), "Two administrators have to agree, as before.")
			return err
		}),
	})
}

package mail

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func deliveriesCommand() *cobra.Command {
	var state string
	c := line.Online(&cobra.Command{
		Use:     "deliveries",
		Short:   "List the notices of the last week, newest first",
		Example: "  quis mail deliveries --state failed\n  quis mail deliveries -o json | jq '.[0].status'",
		Args:    line.None,
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.MailDelivery, error) {
				return c.MailDeliveries(ctx, state)
			}, printDeliveries)(cmd, args)
		},
	})
	c.Flags().StringVar(&state, "state", "", "only those that are pending, done or failed")
	line.Complete(c, "state", "pending", "done", "failed")
	return c
}

func printDeliveries(cmd *cobra.Command, all []client.MailDelivery) error {
	return line.Emit(cmd, all, []string{"ID", "LETTER", "TO", "STATE", "ATTEMPTS", "AT", "STATUS"}, func(row func(...any)) {
		for _, d := range all {
			at := d.CreatedAt
			if d.AttemptedAt != nil {
				at = *d.AttemptedAt
			}
			row(d.ID, d.Letter, d.To, d.State, d.Attempts, at.Local().Format(time.DateTime), d.Status)
		}
	})
}

func retryCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "retry ID",
		Short:   "Send a notice again, now",
		Example: "  quis mail retry mai_01m8j4akwyejn6rch0keyhhcv4\n  quis mail retry mai_01m8j4akwyejn6rch0keyhhcv4 -o json",
		Args:    line.Exactly("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (string, error) {
				return args[0], c.RetryMailDelivery(ctx, args[0])
			}, func(cmd *cobra.Command, id string) error {
				return line.Emit(cmd, map[string]string{"id": id}, nil, func(row func(...any)) { row("It is sent again now: " + id) })
			})(cmd, args)
		},
	})
}

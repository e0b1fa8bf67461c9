package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// What all commands have in common, by the names that they use here.
var (
	online, connect, connectDir, knock, asking        = line.Online, line.Connect, line.ConnectDir, line.Knock, line.Asking
	emit, asJSON, yes                                 = line.Emit, line.AsJSON, line.Yes
	confirm, sureFlag                                 = line.Confirm, line.SureFlag
	complete, group, groupArgs, none, exactly, atMost = line.Complete, line.Group, line.GroupArgs, line.None, line.Exactly, line.AtMost
	usage, flagMistake                                = line.Usage, line.FlagMistake
	errNoNode                                         = line.ErrNoNode
)

const (
	devDir     = line.DevDir
	socketName = line.SocketName
)

type (
	usageError = line.UsageError
	exitError  = line.Exit
)

func answer[T any](ask func(*client.Client, context.Context) (T, error), print func(*cobra.Command, T) error) func(*cobra.Command, []string) error {
	return line.Answer(ask, print)
}

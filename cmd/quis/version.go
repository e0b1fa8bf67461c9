package main

import (
	"runtime"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
)

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show which release this is",
		Example: "  quis version\n  quis version -o json",
		Args:    none,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := struct {
				Version  string `json:"version"`
				Revision string `json:"revision"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{daemon.Version, daemon.Revision(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			return emit(cmd, v, nil, func(row func(...any)) {
				row("quis "+v.Version, v.Revision, v.Go, v.Platform)
			})
		},
	}
}

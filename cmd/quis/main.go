// Command quis is the identity provider and its command line: it serves a node,
// runs a whole cluster for development, sets nodes up, and asks a running one.
//
// Data goes to standard output, everything else to standard error. Exit codes
// are stable: 0 done, 1 error, 2 usage, 3 not found, 4 denied, 5 conflict,
// 6 unavailable. Health has its own: `quis status`, `quis cluster status` (0 healthy, 1 error,
// 2 anything else: starting, degraded, no quorum) and `quis doctor` (0 well, 1 something failed, 2 something wants attention).
// Commands that ask a node use api/client alone, over the node's local socket or
// with QUIS_ADDR and QUIS_TOKEN.
package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

func main() { os.Exit(Main()) }

// run executes root, and takes a command that is not there for a mistake also where its help is asked for.
func run(root *cobra.Command) (err error) {
	var mistake error
	root.SetHelpFunc(line.HelpOf(root.HelpFunc(), &mistake))
	if err = root.ExecuteContext(context.Background()); err == nil {
		err = mistake
	}
	return err
}

// Main runs the command line of this process and returns its exit code.
func Main() int {
	err := run(newRoot())
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if text := err.Error(); text != "" {
		lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
		for i, line := range lines {
			prefix := "quis: "
			if i > 0 && strings.HasPrefix(lines[0], "node-") {
				prefix = "  "
			}
			fmt.Fprintln(os.Stderr, prefix+line)
		}
		if refusal, ok := errors.AsType[*client.Error](err); ok && refusal.Status == http.StatusServiceUnavailable && refusal.Problem.Detail == "" {
			fmt.Fprintln(os.Stderr, "  The node can do nothing of that kind now; most often no majority reaches each other: see `quis cluster status`.")
		}
	}
	return code
}

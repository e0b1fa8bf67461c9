// Package line is what the commands have in common: flags of commands that ask a node, the
// way to that node, how data is printed, and mistakes in the command line.
//
// Data goes to standard output, everything else to standard error. Nothing here ends
// the process: what code it ends with is said by errors.
package line

import (
	"fmt"

	"github.com/spf13/cobra"
)

// Exit codes that commands choose themselves; package main has them all.
const (
	Failed   = 1
	NotFound = 3
	Conflict = 5
)

// A UsageError is a mistake in the command line itself.
type UsageError struct{ error }

// Unwrap returns what the mistake is.
func (e UsageError) Unwrap() error { return e.error }

// Usage returns a UsageError that names the help of cmd.
func Usage(cmd *cobra.Command, format string, args ...any) error {
	return UsageError{fmt.Errorf("%s (see `%s --help`)", fmt.Sprintf(format, args...), cmd.CommandPath())}
}

// An Exit ends the process with a code of its own choosing; an empty text prints nothing.
type Exit struct {
	Code int
	Text string
}

// Error returns the text.
func (e Exit) Error() string { return e.Text }

package line

import (
	"os"
	"strings"

	"github.com/spf13/cobra"
)

// Next is a command that a person can type after cmd: this program as they called it, the
// words, and the node that they named.
func Next(cmd *cobra.Command, words string) string { return Program() + " " + words + Where(cmd) }

// Program is what a person types for this program: as they did if that was a path (bin/quis),
// or its name.
func Program() string { return programOf(os.Args[0]) }

func programOf(called string) string {
	if strings.ContainsAny(called, " \t'\"") || !strings.Contains(called, "/") {
		return "quis"
	}
	return called
}

// Where is the flags of cmd that say which node is meant, as they are typed; "" without any.
func Where(cmd *cobra.Command) string {
	out := ""
	for _, name := range []string{"addr", "data-dir"} {
		if f := cmd.Flags().Lookup(name); f != nil && f.Changed {
			out += " --" + name + " " + quoted(f.Value.String())
		}
	}
	return out
}

// quoted is a word for a shell.
func quoted(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool { return strings.ContainsRune(" \t\n\"'`$&|;<>()*?[]{}~#!\\", r) }) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

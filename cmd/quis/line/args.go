package line

import (
	"strings"

	"github.com/spf13/cobra"
)

// Complete names the values of a flag to the shells.
func Complete(c *cobra.Command, flag string, values ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is not defined, or completed twice
	}
}

// Group makes c a command that only holds others: alone it shows its help.
func Group(c *cobra.Command) {
	c.Args, c.RunE = GroupArgs, groupHelp
	c.Use += " COMMAND"
	c.DisableFlagsInUseLine = true
}

func groupHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// GroupArgs takes no argument: what is one must be a command that was misspelt.
func GroupArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := "unknown command \"" + args[0] + "\""
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		text += "; did you mean \"" + strings.Join(s, "\" or \"") + "\"?"
	}
	return Usage(cmd, "%s", text)
}

// None refuses arguments, as a usage error.
func None(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(cmd, "%s takes no argument, found %q", cmd.CommandPath(), args[0])
	}
	return nil
}

// Exactly asks for that many arguments, which it names.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return Usage(cmd, "%s wants %s", cmd.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// AtMost is exactly for an argument that may be left out.
func AtMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return Usage(cmd, "%s takes one %s at most, found %q", cmd.CommandPath(), name, args[1])
		}
		return nil
	}
}

// FlagMistake adds to an unknown flag the one that was perhaps meant.
func FlagMistake(cmd *cobra.Command, err error) string {
	text := err.Error()
	name, ok := strings.CutPrefix(text, "unknown flag: --")
	if !ok {
		return text
	}
	probe := &cobra.Command{Use: "probe", SuggestionsMinimumDistance: 2}
	for _, f := range FlagNames(cmd) {
		probe.AddCommand(&cobra.Command{Use: f, Run: func(*cobra.Command, []string) {}})
	}
	if s := probe.SuggestionsFor(name); len(s) > 0 {
		text += "; did you mean --" + s[0] + "?"
	}
	return text
}

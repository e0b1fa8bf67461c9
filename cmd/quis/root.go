package main

import (
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
)

// helpTemplate puts the examples first: most people want nothing else.
const helpTemplate = `{{if .Example}}Examples:
{{.Example}}

{{end}}{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}Usage:
  {{.UseLine}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}
{{end}}{{if .HasAvailableLocalFlags}}
Flags:
{{.LocalFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}{{if .HasAvailableInheritedFlags}}
Flags of every command:
{{.InheritedFlags.FlagUsages | trimTrailingWhitespaces}}
{{end}}`

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "quis",
		Short: "quis is an identity provider: one binary, three nodes, no database",
		Example: "  quis dev --nodes 3                      # a cluster on this machine, with a demo application\n" +
			"  quis server --config /etc/quis/quis.yaml  # one node",
		Version:       daemon.Version,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	group(root)
	root.SetHelpTemplate(helpTemplate)
	root.SetVersionTemplate("quis {{.Version}}\n")
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return usage(cmd, "%s", flagMistake(cmd, err))
	})
	root.PersistentFlags().StringP("output", "o", defaultFormat(), "how to print data: table or json")
	complete(root, "output", "table", "json")
	root.AddCommand(devCommand(), serverCommand(), initCommand(), joinCommand(), statusCommand(), doctorCommand(), setupLinkCommand(),
		auditCommand(), keysCommand(), clusterCommand(), backupCommand(), restoreCommand(), recoverCommand(), versionCommand())
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	for _, c := range root.Commands() {
		switch c.Name() {
		case "completion":
			c.Example = "  source <(quis completion bash)\n  quis completion zsh > \"${fpath[1]}/_quis\""
			c.Long = "Prints the completion script of a shell."
			c.Short = "Print the completion script of a shell"
			group(c)
			for _, shell := range c.Commands() {
				shell.Example, shell.Long = c.Example, ""
				shell.Args = none
			}
		case "help":
			c.Hidden = true
		}
	}
	return root
}

func defaultFormat() string {
	if f := os.Getenv("QUIS_FORMAT"); f != "" {
		return f
	}
	return "table"
}

// complete names the values of a flag to the shells.
func complete(c *cobra.Command, flag string, values ...string) {
	if err := c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // the flag is not defined, or completed twice
	}
}

// group makes c a command that only holds others: alone it shows its help.
func group(c *cobra.Command) {
	c.Args, c.RunE = groupArgs, groupHelp
	c.Use += " COMMAND"
	c.DisableFlagsInUseLine = true
}

func groupHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

func groupArgs(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := "unknown command \"" + args[0] + "\""
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(args[0]); len(s) > 0 {
		text += "; did you mean \"" + strings.Join(s, "\" or \"") + "\"?"
	}
	return usage(cmd, "%s", text)
}

// none and exactly are cobra's checks of arguments as usage errors.
func none(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage(cmd, "%s takes no argument, found %q", cmd.CommandPath(), args[0])
	}
	return nil
}

func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != len(names) {
			return usage(cmd, "%s wants %s", cmd.CommandPath(), strings.Join(names, " "))
		}
		return nil
	}
}

// atMost is exactly for an argument that may be left out.
func atMost(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > 1 {
			return usage(cmd, "%s takes one %s at most, found %q", cmd.CommandPath(), name, args[1])
		}
		return nil
	}
}

// flagMistake adds to an unknown flag the one that was perhaps meant.
func flagMistake(cmd *cobra.Command, err error) string {
	text := err.Error()
	name, ok := strings.CutPrefix(text, "unknown flag: --")
	if !ok {
		return text
	}
	probe := &cobra.Command{Use: "probe", SuggestionsMinimumDistance: 2}
	for _, f := range flagNames(cmd) {
		probe.AddCommand(&cobra.Command{Use: f, Run: func(*cobra.Command, []string) {}})
	}
	if s := probe.SuggestionsFor(name); len(s) > 0 {
		text += "; did you mean --" + s[0] + "?"
	}
	return text
}

package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/quis/app"
	"github.com/quis-idp/quis/cmd/quis/archive"
	"github.com/quis-idp/quis/cmd/quis/audit"
	"github.com/quis-idp/quis/cmd/quis/breach"
	"github.com/quis-idp/quis/cmd/quis/certificate"
	groups "github.com/quis-idp/quis/cmd/quis/group" // group is a function here
	"github.com/quis-idp/quis/cmd/quis/mail"
	"github.com/quis-idp/quis/cmd/quis/oauth"
	"github.com/quis-idp/quis/cmd/quis/passkey"
	"github.com/quis-idp/quis/cmd/quis/policy"
	"github.com/quis-idp/quis/cmd/quis/settings"
	"github.com/quis-idp/quis/cmd/quis/tenant"
	"github.com/quis-idp/quis/cmd/quis/try"
	"github.com/quis-idp/quis/cmd/quis/user"
)

// helpTemplate puts the examples first: most people want nothing else.
const helpTemplate = `{{if .Example}}Examples:
{{.Example}}

{{end}}{{with (or .Long .Short)}}{{. | trimTrailingWhitespaces}}

{{end}}Usage:
  {{.UseLine}}
{{if .HasAvailableSubCommands}}
Commands:{{range .Commands}}{{if .IsAvailableCommand}}
  {{rpad .Name 12}} {{.Short}}{{end}}{{end}}
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
		Long: "quis is an identity provider: one binary, three nodes, no database\n\n" +
			"Exit codes: 0 done, 1 error, 2 usage, 3 not found, 4 denied, 5 conflict, 6 unavailable.\n" +
			"quis status and quis doctor have codes of their own.",
		Example: "  quis dev --nodes 3                        # a cluster on this machine, with a demo application\n" +
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
	root.AddCommand(devCommand(), serverCommand(), initCommand(), joinCommand(), statusCommand(), doctorCommand(), rootKeyCommand(), setupLinkCommand(),
		audit.Command(), keysCommand(), clusterCommand(), archive.Backup(), archive.Restore(), archive.Recover(), breach.Command(),
		app.Command(try.AppTest()), oauth.Scope(), oauth.Resource(), oauth.Registration(), settings.Command(), user.Command(), groups.Command(), mail.Command(), passkey.Command(), policy.Command(), try.Command(), try.Token(), certificate.Command(), tenant.Command(), versionCommand())
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

package line

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
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
	return Usage(cmd, "%s", noCommand(cmd, args[0]))
}

// HelpOf is help, less for a word that is no command of one that holds others: there the help of that one
// would pass for the word's. What is wrong then is stored in mistake.
func HelpOf(help func(*cobra.Command, []string), mistake *error) func(*cobra.Command, []string) {
	return func(cmd *cobra.Command, args []string) {
		if cmd.HasSubCommands() {
			if *mistake = GroupArgs(cmd, cmd.Flags().Args()); *mistake != nil {
				return
			}
		}
		help(cmd, args)
	}
}

// noCommand says that cmd holds no such command, and which one was perhaps meant.
func noCommand(cmd *cobra.Command, word string) string {
	text := "unknown command \"" + word + "\""
	cmd.SuggestionsMinimumDistance = 2
	if s := cmd.SuggestionsFor(word); len(s) > 0 {
		text += "; did you mean \"" + strings.Join(s, "\" or \"") + "\"?"
	}
	return text
}

// None refuses arguments, as a usage error.
func None(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return Usage(cmd, "%s takes no argument, found %q%s", cmd.CommandPath(), args[0], asFlag(cmd, args[0]))
	}
	return nil
}

// Exactly asks for that many arguments, which it names.
func Exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return Usage(cmd, "%s wants %s", cmd.CommandPath(), strings.Join(names, " and "))
		case len(args) > len(names):
			return Surplus(cmd, len(names), args)
		}
		return nil
	}
}

// Surplus says which of args is more than the number that cmd takes, and which flag it was perhaps meant to be.
func Surplus(cmd *cobra.Command, takes int, args []string) error {
	count, more := "one argument", args[takes]
	if takes > 1 {
		count = [...]string{"two", "three", "four"}[takes-2] + " arguments"
	}
	return Usage(cmd, "%s takes %s, found %q besides%s", cmd.CommandPath(), count, more, asFlag(cmd, more))
}

// asFlag is how word is written if it was meant for a flag: mfa_policy=any for --mfa, or 20s
// after a --wait that takes a value only behind =.
func asFlag(cmd *cobra.Command, word string) (hint string) {
	name, value, assigned := strings.Cut(word, "=")
	name = strings.ReplaceAll(name, "_", "-")
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		switch {
		case assigned && !f.Hidden && (f.Name == name || strings.HasPrefix(name, f.Name+"-")):
			hint = "; write --" + f.Name + "=" + value
		case f.Changed && f.NoOptDefVal != "" && f.Value.Type() != "bool":
			hint = "; write --" + f.Name + "=" + word
		}
	})
	return hint
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

// FlagMistake adds to an unknown flag the one that was perhaps meant, and says of a value that
// does not fit what would.
func FlagMistake(cmd *cobra.Command, err error) string {
	if wrong, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		return valueMistake(wrong)
	}
	text := err.Error()
	name, ok := strings.CutPrefix(text, "unknown flag: --")
	if !ok {
		return text
	}
	if cmd.DisableFlagsInUseLine { // cmd only holds others, whose flags it does not know
		if words := cmd.Flags().Args(); len(words) > 0 {
			return noCommand(cmd, words[0])
		}
		if cmd.HasParent() {
			return "say which command of " + cmd.CommandPath() + " before --" + name
		}
	}
	probe := &cobra.Command{Use: "probe", SuggestionsMinimumDistance: 2}
	for _, f := range FlagNames(cmd) {
		probe.AddCommand(&cobra.Command{Use: f, Run: func(*cobra.Command, []string) {}})
	}
	if s := probe.SuggestionsFor(name); len(s) > 0 {
		text += "; did you mean --" + s[0] + "?"
	} else if strings.Contains(cmd.Use, "FIELD=VALUE") {
		text += "; fields are written without dashes: write " + strings.ReplaceAll(name, "-", "_") + "=…"
	}
	return text
}

// valueMistake says in words what the parsers of Go say in the language of those who wrote them.
func valueMistake(err *pflag.InvalidValueError) string {
	f := err.GetFlag()
	if b, ok := f.Value.(*between); ok {
		return fmt.Sprintf("--%s %v", f.Name, b.mistake(err.GetValue()))
	}
	wants := map[string]string{
		"int": "a whole number", "int64": "a whole number", "uint32": "a whole number", "uint64": "a whole number",
		"duration": "a length of time, such as 90s or 5m", "bool": "true or false",
	}[f.Value.Type()]
	if wants == "" {
		return err.Error()
	}
	return fmt.Sprintf("--%s %q is not %s", f.Name, err.GetValue(), wants)
}

// Between adds a flag for a whole number from least to most; 0 stands for none that was given.
func Between(c *cobra.Command, to *int, name string, least, most int, help string) {
	c.Flags().Var(&between{to, least, most}, name, help)
}

type between struct {
	to          *int
	least, most int
}

func (b *between) mistake(s string) error {
	n, err := strconv.Atoi(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return fmt.Errorf("%q is not a number: it takes one from %d to %d", s, b.least, b.most)
	case err != nil, n < b.least, n > b.most:
		return fmt.Errorf("%s is out of range: %d to %d", s, b.least, b.most)
	}
	return nil
}

// Set implements pflag.Value.
func (b *between) Set(s string) error {
	if err := b.mistake(s); err != nil {
		return err
	}
	*b.to, _ = strconv.Atoi(s) // a mistake would have been found
	return nil
}

// String implements pflag.Value.
func (b *between) String() string {
	if b.to == nil || *b.to == 0 {
		return ""
	}
	return strconv.Itoa(*b.to)
}

// Type implements pflag.Value.
func (b *between) Type() string { return "int" }

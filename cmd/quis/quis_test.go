package main

import (
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"quis": func() { os.Exit(Main()) },
	})
}

func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"exits": exits,
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			return nil
		},
	})
}

// exits CODE COMMAND … fails unless the command ends with this very code: scripts
// of operators rely on it.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	err := ts.Exec(args[1], args[2:]...)
	code := "0"
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		code = string('0' + rune(exit.ExitCode()))
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if code != args[0] {
		ts.Fatalf("exit code %s, want %s", code, args[0])
	}
}

// Every command says what it is for and begins its help with two examples.
func TestEveryCommandHasTwoExamples(t *testing.T) {
	t.Parallel()
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		lines := 0
		for _, r := range c.Example {
			if r == '\n' {
				lines++
			}
		}
		if c.Name() != "help" && (c.Short == "" || lines != 1) {
			t.Errorf("%s: %q, examples %q", c.CommandPath(), c.Short, c.Example)
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
}

// Every command prints its own help, and a group none for a command that it does not hold.
func TestEveryCommandHasItsOwnHelp(t *testing.T) {
	t.Parallel()
	help := func(c *cobra.Command, more ...string) (string, error) {
		root, out := newRoot(), &strings.Builder{}
		root.SetOut(out)
		root.SetErr(out)
		root.SetArgs(append(strings.Fields(c.CommandPath())[1:], more...))
		err := run(root)
		return out.String(), err
	}
	n := 0
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		n++
		c.InitDefaultHelpFlag()
		usage := "\nUsage:\n  " + c.UseLine() + "\n"
		if out, err := help(c, "--help"); err != nil || !strings.Contains(out, usage) && c.Name() != "help" {
			t.Errorf("%s --help: %v, want %q in\n%s", c.CommandPath(), err, usage, out)
		}
		if c.HasSubCommands() {
			for _, more := range [][]string{{"nosuch", "--help"}, {"--help", "nosuch"}, {"nosuch", "-h", "-o", "json"}} {
				if out, err := help(c, more...); err == nil || !strings.Contains(err.Error(), `unknown command "nosuch"`) || out != "" {
					t.Errorf("%s %v: %v\n%s", c.CommandPath(), more, err, out)
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(newRoot())
	if n < 100 {
		t.Errorf("only %d commands", n)
	}
}

// Package guide reads an operator's guide as a program: every `sh` block of the
// document is run as it stands, on hosts that share one machine.
//
// A line "# on node-2" says on which host the lines after it are typed; each block
// begins on the first host. The hosts are loopback addresses with directories of
// their own, so nothing here needs to be root: /etc/quis, /var/lib/quis and
// /usr/local/bin in the text stand for directories of the host, and systemctl and
// scp are small programs that start a node, stop it and copy between hosts.
//
// A command that fails fails the test, with the line of the document. What the
// commands do is not judged here: the test that runs a guide looks at the cluster
// after each section.
package guide

import (
	"bufio"
	"fmt"
	"regexp"
	"strings"
)

// A Section is what stands below one heading of the second level.
type Section struct {
	Title string
	Steps []Step
}

// A Step is a script that one host runs.
type Step struct {
	Host   string
	Line   int // of the document, where the script begins
	Script string
}

var switchHost = regexp.MustCompile(`^# on (node-[1-9])\b`)

// Parse returns the sections of a Markdown document that have `sh` blocks. A block
// that is not closed, or stands before the first section, is an error.
func Parse(document string) ([]Section, error) {
	var sections []Section
	var step *Step // being read; nil outside a block
	lines := bufio.NewScanner(strings.NewReader(document))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch title, isTitle := strings.CutPrefix(line, "## "); {
		case step != nil && line == "```":
			sections[len(sections)-1].add(step)
			step = nil
		case step != nil:
			if m := switchHost.FindStringSubmatch(line); m != nil {
				sections[len(sections)-1].add(step)
				step = &Step{Host: m[1], Line: n + 1}
				continue
			}
			step.Script += line + "\n"
		case line == "```sh":
			if len(sections) == 0 {
				return nil, fmt.Errorf("line %d: a script before the first section", n)
			}
			step = &Step{Host: "node-1", Line: n + 1}
		case isTitle:
			sections = append(sections, Section{Title: title})
		}
	}
	if step != nil {
		return nil, fmt.Errorf("line %d: the block is not closed", step.Line)
	}
	return sections, lines.Err()
}

// add keeps a step that does something.
func (s *Section) add(step *Step) {
	for line := range strings.Lines(step.Script) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			s.Steps = append(s.Steps, *step)
			return
		}
	}
}

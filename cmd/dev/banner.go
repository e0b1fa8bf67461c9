package dev

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/quis-idp/quis/cmd/demo"
)

// banner tells a newcomer what runs and what to do next.
func (h *house) banner(ctx context.Context, took time.Duration) {
	var b strings.Builder
	line := func(name, value, note string) {
		if note != "" {
			note = "   (" + note + ")"
		}
		fmt.Fprintf(&b, "  %-12s %s%s\n", name, value, note)
	}
	nodes := "one node"
	if h.Nodes > 1 {
		nodes = fmt.Sprintf("%d nodes", h.Nodes)
	}
	fmt.Fprintf(&b, "\n  quis %s, development mode: %s, ready in %s. NOT for production.\n", h.Version, nodes, took.Round(10*time.Millisecond))
	quis := h.Program
	fmt.Fprintf(&b, "  Data in %s (`%s dev --reset%s` begins anew).\n\n", h.Dir, quis, h.DirFlag)

	next, who := "open the demo app and sign in", "New admin"
	link, first, err := h.setupLink(ctx)
	if first {
		next, who = "open the setup link, then the demo app", "First admin"
	}
	if err != nil {
		line(who, "no setup link: "+err.Error(), "")
	} else {
		line(who, link, "works once, within 60 minutes; `"+quis+" setup-link"+h.DirFlag+"` makes a new one")
	}
	issuer := Issuer(h.Port)
	line("Demo app", demo.URL(issuer), "OIDC client \"demo\", already registered; shows its tokens")
	line("Mail inbox", issuer+"/dev/mail", "all mail of this machine; JSON for tests: /dev/mail.json")
	line("Issuer", issuer, "")
	line("JWKS", issuer+"/.well-known/jwks.json", "")
	for _, n := range h.nodes {
		label := ""
		if n.Index == 1 {
			label = "Metrics"
		}
		line(label, "http://"+strings.Replace(n.Operations, "127.0.0.1", "localhost", 1)+"/metrics", "")
	}
	if h.Nodes > 1 {
		for _, n := range h.nodes {
			label := ""
			if n.Index == 1 {
				label = "Nodes"
			}
			line(label, n.URL, fmt.Sprintf("log: %s", n.logFile()))
		}
	} else {
		line("Log", h.nodes[0].logFile(), "")
	}
	b.WriteByte('\n')
	line("Next:", next, "")
	if h.Nodes > 1 {
		line("", quis+" dev kill 2"+h.DirFlag, "in another terminal: the demo app goes on working")
		line("", quis+" dev start 2"+h.DirFlag, "brings it back")
	}
	line("", quis+" status"+h.DirFlag, "how the cluster is")
	b.WriteString("  Ctrl-C stops everything.\n\n")
	h.say("%s", b.String())
}

func (h *house) setupLink(ctx context.Context) (link string, first bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, n := range h.nodes {
		if link, first, err = h.SetupLink(ctx, n.Dir); err == nil {
			return link, first, nil
		}
	}
	return "", false, err
}

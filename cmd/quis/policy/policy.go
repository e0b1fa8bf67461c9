// Package policy is `quis policy`: what a sign-in would need, and which rule asks for it.
//
// Nothing is decided here: the node is asked, which changes nothing by answering.
package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/app"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/cmd/quis/user"
)

// Command is `quis policy`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "policy",
		Short:   "What a sign-in needs, and which rule asks for it",
		Example: "  quis policy evaluate alice --proved password\n  quis policy evaluate alice --app wiki --proved password,totp",
	}
	line.Group(c)
	c.AddCommand(evaluateCommand())
	return c
}

var methods = []string{"password", "totp", "recovery", "passkey", "security-key", "mail", "certificate", "approval"}

func evaluateCommand() *cobra.Command {
	var application string
	var proved []string
	q := client.PolicyQuestion{}
	level, skipped := 0, 0
	var age time.Duration
	c := line.Online(&cobra.Command{
		Use:   "evaluate USER",
		Short: "Say what a sign-in of a user would need; nothing is changed",
		Long:  "Proofs are " + strings.Join(methods, ", ") + ": a passkey is taken for a synced one, a\nsecurity-key for one that never leaves its device and whose maker is known.",
		Example: "  quis policy evaluate alice --app wiki --proved password,totp --trusted-device\n" +
			"  quis policy evaluate alice --app wiki --proved passkey --max-age 5m --skipped 3",
		Args: line.Exactly("the username, address or ID of a user"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if level < 0 || level > 3 {
			return line.Usage(cmd, "--level is 1, 2 or 3")
		}
		if level > 0 {
			q.ACR = fmt.Sprintf("urn:quis:acr:aal%d", level)
		}
		if age < 0 || age%time.Second != 0 || skipped < 0 {
			return line.Usage(cmd, "--max-age is whole seconds, and --skipped how often: neither is less than 0")
		}
		if cmd.Flags().Changed("max-age") {
			seconds := int(age / time.Second)
			q.MaxAge = &seconds
		}
		if cmd.Flags().Changed("skipped") {
			q.Skipped = &skipped
		}
		q.Factors = nil
		for _, m := range proved {
			if !slices.Contains(methods, m) {
				return line.Usage(cmd, "--proved %q is none of %s", m, strings.Join(methods, ", "))
			}
			q.Factors = append(q.Factors, factor(m))
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.PolicyDecision, error) {
			u, err := user.Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			q.UserID = u.ID
			if application != "" {
				a, err := app.Find(ctx, c, application)
				if err != nil {
					return nil, err
				}
				q.Application = a.ID
			}
			return c.EvaluatePolicy(ctx, q)
		}, show)(cmd, args)
	}
	c.Flags().StringSliceVar(&proved, "proved", nil, "what they would have proved, just now")
	c.Flags().StringVar(&application, "app", "", "the application that it would be for: client_id, name or ID")
	c.Flags().BoolVar(&q.Trusted, "trusted-device", false, "in a browser that is a trusted device of theirs")
	c.Flags().IntVar(&level, "level", 0, "assurance level that the request would ask for")
	c.Flags().DurationVar(&age, "max-age", 0, "how old a proof may be that the request would allow, such as 5m, or 0s: none but in this sign-in (default: any)")
	c.Flags().IntVar(&skipped, "skipped", 0, "how often they would have put enrolment off (default: as often as they have)")
	line.Complete(c, "proved", methods...)
	return c
}

func factor(m string) client.GivenFactor {
	switch m {
	case "passkey":
		return client.GivenFactor{Method: m, Verified: true}
	case "security-key":
		return client.GivenFactor{Method: "passkey", Verified: true, Bound: true, Attested: true}
	case "certificate":
		return client.GivenFactor{Method: m, Verified: true, Bound: true}
	}
	return client.GivenFactor{Method: m}
}

func show(cmd *cobra.Command, d *client.PolicyDecision) error {
	return line.Emit(cmd, d, nil, func(row func(...any)) {
		row("outcome", outcome(d))
		row("level", d.Level)
		for _, r := range d.Reasons {
			row(strings.TrimSpace(r.Rule+" "+r.Name), r.Asks, standing(r))
		}
	})
}

// standing is whether what a rule asks for is met or, of a level, can be.
func standing(r client.PolicyReason) string {
	switch {
	case r.Met:
		return "met"
	case r.Why != "":
		return "cannot be reached: " + r.Why
	}
	return "not met"
}

// either is one method, or those of which one will do.
func either(methods []string) string {
	if len(methods) == 1 {
		return methods[0]
	}
	return "one of " + strings.Join(methods, ", ")
}

func outcome(d *client.PolicyDecision) string {
	switch d.Outcome {
	case "step_up":
		return "step_up: " + either(d.Methods) + " is asked for"
	case "enrol":
		text := "enrol: " + either(d.Methods) + " is to be set up"
		switch {
		case d.Optional && d.Left < 0:
			text += ", or put off"
		case d.Optional:
			text += fmt.Sprintf(", or put off %d times", d.Left)
		}
		return text
	case "deny":
		return "deny: " + d.Why
	}
	return d.Outcome
}

package audit

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/cmd/quis/user"
)

const (
	usual = 50     // events that are shown unless more are asked for
	most  = 10_000 // that are shown at all
	page  = 200    // that the node is asked for at once
)

func listCommand() *cobra.Command {
	var whose, since string
	var f client.EventFilter
	limit := usual
	c := line.Online(&cobra.Command{
		Use:   "list",
		Short: "List what happened, newest first",
		Long: "--user is a username, an address or an ID: what they did, and what was done to them. Somebody who is deleted has only\n" +
			"an ID. --type is one type, such as session.started, or with * at its end all that begin so. --request is the ID that an\n" +
			"error page or a refused command shows; what was only refused is in the log of the node that answered, by\n" +
			"the same ID. `quis audit show ID` says all that is known of one event, as -o json does of each.",
		Example: "  quis audit list --user alice --since 24h\n  quis audit list --type 'signin.*' --limit 200 -o json",
		Args:    line.None,
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		var err error
		if f.Since, err = moment(since, time.Now()); err != nil {
			return line.Usage(cmd, "--since %q %v", since, err)
		}
		var more bool
		return line.Answer(func(c *client.Client, ctx context.Context) (all []client.Event, err error) {
			if f.User, err = identify(ctx, c, whose); err != nil {
				return nil, err
			}
			all, more, err = newest(ctx, c, f, limit)
			return all, err
		}, func(cmd *cobra.Command, all []client.Event) error {
			err := printEvents(cmd, all)
			if len(all) == 0 && f.Request != "" {
				fmt.Fprintf(cmd.ErrOrStderr(), "Nothing happened in that request. What was only refused is in the log of the node that answered: look for %s there.\n", f.Request)
			}
			if more {
				fmt.Fprintf(cmd.ErrOrStderr(), "These are the newest %d; there may be more: --limit shows more, --since those after a time.\n", len(all))
			}
			return err
		})(cmd, args)
	}
	c.Flags().StringVar(&whose, "user", "", "only what this user did, and what was done to them")
	c.Flags().StringVar(&f.Type, "type", "", "only this type of event; user.* is every type that begins so")
	c.Flags().StringVar(&f.Request, "request", "", "only what happened in the request with this ID")
	c.Flags().StringVar(&since, "since", "", "only what happened since: how long ago (90m, 24h, 7d), or a date or time (2026-11-30, 2026-11-30T14:00)")
	line.Between(c, &limit, "limit", 1, most, "events at most")
	return c
}

// identify returns the ID of the user that a person means; an ID needs nobody to be there any more.
func identify(ctx context.Context, c *client.Client, word string) (string, error) {
	if word == "" || strings.HasPrefix(word, "usr_") {
		return word, nil
	}
	u, err := user.Find(ctx, c, word)
	if err != nil {
		return "", err
	}
	return u.ID, nil
}

// newest returns the first limit events that pass f, and whether there may be more. A page of a
// filter may be short, even empty, and others follow.
func newest(ctx context.Context, c *client.Client, f client.EventFilter, limit int) (all []client.Event, more bool, err error) {
	all = []client.Event{}
	f.Limit = min(limit, page)
	for {
		p, err := c.Events(ctx, f)
		if err != nil {
			return nil, false, err
		}
		all = append(all, p.Data...)
		if len(all) >= limit || !p.HasMore {
			return all[:min(len(all), limit)], p.HasMore || len(all) > limit, nil
		}
		f.After = p.Next
	}
}

func printEvents(cmd *cobra.Command, all []client.Event) error {
	return line.Emit(cmd, all, []string{"TIME", "TYPE", "ACTOR", "TARGET", "ADDRESS", "ID"}, func(row func(...any)) {
		for _, e := range all {
			row(e.Time.Local().Format(time.DateTime), e.Type, actor(e.Actor), target(e.Target), e.IP, e.ID)
		}
	})
}

// actor is who did it: by name if they have one, and who did it in their name.
func actor(p client.Party) string {
	text := cmp.Or(p.Name, p.ID, p.Kind)
	if p.Impersonator != "" {
		text += " (" + p.Impersonator + ")"
	}
	return text
}

func target(p client.Party) string { return strings.TrimSpace(p.Kind + " " + cmp.Or(p.Name, p.ID)) }

func showCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "show EVENT",
		Short:   "Show one event with all that is known of it",
		Example: "  quis audit show evt_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis audit show evt_01jc8q2v7m3k5t9w0x4y6z8a1b -o json",
		Args:    line.Exactly("the ID of an event"),
		RunE: func(cmd *cobra.Command, args []string) error {
			id := line.Plain(args[0])
			if !strings.HasPrefix(id, "evt_") {
				return line.Usage(cmd, "%q is not the ID of an event, which begins with evt_: `quis audit list` shows them. `%s` shows what happened in the request with an ID", id, line.Next(cmd, "audit list --request "+id))
			}
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.Event, error) {
				e, err := c.Event(ctx, args[0])
				if client.Status(err) == http.StatusNotFound {
					err = line.Exit{Code: line.NotFound, Text: fmt.Sprintf("there is no event %q: `quis audit list` shows them", id)}
				}
				return e, err
			}, printEvent)(cmd, args)
		},
	})
}

func printEvent(cmd *cobra.Command, e *client.Event) error {
	return line.Emit(cmd, e, nil, func(row func(...any)) {
		some := func(name, text string) {
			if text != "" {
				row(name, text)
			}
		}
		row("id", e.ID)
		row("time", e.Time.Local().Format(time.DateTime))
		row("type", e.Type)
		row("actor", strings.Join(slices.Compact([]string{e.Actor.Kind, cmp.Or(e.Actor.ID, e.Actor.Kind), cmp.Or(e.Actor.Name, e.Actor.ID, e.Actor.Kind)}), " "))
		some("impersonator", e.Actor.Impersonator)
		some("session", e.Actor.SessionID)
		some("target", strings.Join(strings.Fields(e.Target.Kind+" "+e.Target.ID+" "+e.Target.Name), " "))
		some("address", e.IP)
		some("browser", e.UserAgent)
		some("request", e.RequestID)
		for _, name := range slices.Sorted(maps.Keys(e.Data)) {
			row(name, e.Data[name])
		}
		for _, f := range e.Changes {
			row(f.Field, fmt.Sprintf("%q, was %q", f.After, f.Before))
		}
	})
}

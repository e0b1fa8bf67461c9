package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/assign"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// urns are the grant types with long names, by the short ones that `quis app list` shows.
var urns = map[string]string{
	"device_code":    "urn:ietf:params:oauth:grant-type:device_code",
	"token-exchange": "urn:ietf:params:oauth:grant-type:token-exchange",
	"jwt-bearer":     "urn:ietf:params:oauth:grant-type:jwt-bearer",
	"ciba":           "urn:openid:params:grant-type:ciba",
}

// form is what can be assigned to an application.
func form(fields map[string]client.Field) assign.Form {
	return assign.Form{Fields: fields, Help: "quis app set --fields", Short: map[string]map[string]string{"grant_types": urns}}
}

func createCommand() *cobra.Command {
	var secretFile string
	var another bool
	c := line.Online(&cobra.Command{
		Use:   "create NAME [FIELD=VALUE…]",
		Short: "Make an application; its secret is shown once",
		Long: "Lists are written with commas. `quis app set --fields` shows every field.\n" +
			"The secret goes to standard output, or with --secret-file to a file that only you may read.",
		Example: "  quis app create wiki redirect_uris=https://wiki.example.com/callback --secret-file wiki.secret\n" +
			"  quis app create portal type=spa redirect_uris=http://localhost:3000/callback",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return line.Usage(cmd, "%s wants the name of the application", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if err := free(secretFile); err != nil {
			return err
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Application, error) {
			fields, err := c.Applications.Fields(ctx)
			if err != nil {
				return nil, err
			}
			set, err := form(fields).Read(cmd, args[1:], nil)
			if err != nil {
				return nil, err
			}
			if _, ok := set["name"]; !ok {
				set["name"] = args[0]
			}
			if name, ok := set["name"].(string); ok && !another {
				if err := unheard(ctx, cmd, c, name); err != nil {
					return nil, err
				}
			}
			return c.Applications.Create(ctx, client.ApplicationFields{More: set})
		}, func(cmd *cobra.Command, a *client.Application) error {
			if err := keep(cmd, a, secretFile); err != nil {
				return err
			}
			if err := show(cmd, a, false); err != nil {
				return err
			}
			if next := nextStep(a, secretFile); next != "" {
				fmt.Fprintln(cmd.ErrOrStderr(), "Next: "+line.Next(cmd, next))
			}
			return nil
		})(cmd, args)
	}
	c.Flags().StringVar(&secretFile, "secret-file", "", "write the secret to this new file instead of showing it")
	c.Flags().BoolVar(&another, "another", false, "make it although an application has this name already")
	return c
}

// unheard reports applications that have that name. They may share one, but the second is rather
// made by a command that was typed twice, and then neither can be named by it.
func unheard(ctx context.Context, cmd *cobra.Command, c *client.Client, name string) error {
	apps, err := all(c, ctx)
	if err != nil {
		return err
	}
	if same := called(apps, name); len(same) > 0 {
		return line.Exit{Code: line.Conflict, Text: fmt.Sprintf("there is an application called %q already, with the client_id %s: nothing was made. `quis app set` changes it, "+
			"`%s` makes it another secret; --another makes one more application of that name", name, same[0].ClientID, line.Next(cmd, "app secret rotate "+same[0].ClientID))}
	}
	return nil
}

// nextStep is the words of the command that tries a new application, as it can be tried.
func nextStep(a *client.Application, secretFile string) string {
	secret := ""
	if secretFile != "" && (a.IsPublic == nil || !*a.IsPublic) {
		secret = " --secret-file " + secretFile
	}
	switch {
	case slices.Contains(a.GrantTypes, "authorization_code"):
		if !slices.ContainsFunc(a.RedirectURIs, loopback) {
			secret += " --register"
		}
		return "app test " + a.ClientID + secret
	case slices.Contains(a.GrantTypes, urns["device_code"]):
		return "test device --app " + a.ClientID + secret
	case slices.Contains(a.GrantTypes, "client_credentials"):
		return "test client-credentials --app " + a.ClientID + secret
	}
	return ""
}

// loopback reports whether quis app test can listen where the URI leads.
func loopback(uri string) bool {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "http" {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

func setCommand() *cobra.Command {
	var fields bool
	c := line.Online(&cobra.Command{
		Use:   "set APP FIELD=VALUE…",
		Short: "Change fields of an application; the rest stays",
		Long: "field=value replaces. Lists are written with commas, and field+=value and field-=value add to them and take\n" +
			"from them. field=@file takes the value from a file. --fields shows every field and what it means.",
		Example: "  quis app set wiki redirect_uris+=https://wiki.example.com/callback backchannel_logout_uri=https://wiki.example.com/logout\n" +
			"  quis app set --fields",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if !fields && len(args) < 2 {
			return line.Usage(cmd, "%s wants an application and field=value", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if fields {
			return line.Answer(func(c *client.Client, ctx context.Context) (map[string]client.Field, error) {
				return c.Applications.Fields(ctx)
			}, func(cmd *cobra.Command, fields map[string]client.Field) error { return form(fields).Print(cmd) })(cmd, args)
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Application, error) {
			known, err := c.Applications.Fields(ctx)
			if err != nil {
				return nil, err
			}
			if _, err := form(known).Read(cmd, args[1:], nil); err != nil {
				return nil, err // a mistake in the command line, before anything is asked
			}
			a, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			set, err := form(known).Read(cmd, args[1:], a.More)
			if err != nil {
				return nil, err
			}
			return c.Applications.Update(ctx, a.ID, client.ApplicationFields{More: set}, a.ETag)
		}, func(cmd *cobra.Command, a *client.Application) error { return show(cmd, a, false) })(cmd, args)
	}
	c.Flags().BoolVar(&fields, "fields", false, "show the fields and what they mean; change nothing")
	c.ValidArgsFunction = complete
	return c
}

func deleteCommand() *cobra.Command {
	var sure bool
	c := line.Online(&cobra.Command{
		Use:     "delete APP",
		Short:   "Delete an application; what it holds for people ends",
		Example: "  quis app delete wiki\n  quis app delete wiki --yes",
		Args:    line.Exactly("the client_id, name or ID of an application"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		n, err := line.Connect(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := line.Asking(cmd)
		defer cancel()
		a, err := Find(ctx, n, args[0])
		if err != nil {
			return err
		}
		if err := line.Confirm(cmd, a.ClientID, sure, fmt.Sprintf("Nobody will be able to sign in to %s any more; its client_id and secret do not come back.", text(a.Name))); err != nil {
			return err
		}
		if err := n.Applications.Delete(ctx, a.ID); err != nil {
			return err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "%s is deleted.\n", text(a.Name))
		return nil
	}
	line.SureFlag(c, &sure)
	c.ValidArgsFunction = complete
	return c
}

func secretCommand() *cobra.Command {
	c := &cobra.Command{
		Use:     "secret",
		Short:   "The secret by which an application proves that it is itself",
		Example: "  quis app secret rotate wiki\n  quis app secret rotate wiki --keep-previous --secret-file wiki.secret",
	}
	line.Group(c)
	var previous bool
	var secretFile string
	rotate := line.Online(&cobra.Command{
		Use:   "rotate APP",
		Short: "Make a new secret; the old one stops at once unless it is kept",
		Long: "With --keep-previous the former secret goes on working beside the new one, so that the application can be\n" +
			"given the new one without an outage; rotate again without it to end the former.",
		Example: "  quis app secret rotate wiki\n  quis app secret rotate wiki --keep-previous --secret-file wiki.secret",
		Args:    line.Exactly("the client_id, name or ID of an application"),
	})
	rotate.RunE = func(cmd *cobra.Command, args []string) error {
		if err := free(secretFile); err != nil {
			return err
		}
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.Application, error) {
			a, err := Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Applications.RegenerateSecret(ctx, a.ID, previous)
		}, func(cmd *cobra.Command, a *client.Application) error {
			if err := keep(cmd, a, secretFile); err != nil {
				return err
			}
			return line.Emit(cmd, map[string]string{"client_id": a.ClientID, "client_secret": a.ClientSecret}, nil, func(row func(...any)) {
				row("client_id", a.ClientID)
				if a.ClientSecret != "" {
					row("client_secret", a.ClientSecret)
				}
			})
		})(cmd, args)
	}
	rotate.Flags().BoolVar(&previous, "keep-previous", false, "let the former secret work as well, until the next rotation")
	rotate.Flags().StringVar(&secretFile, "secret-file", "", "write the secret to this new file instead of showing it")
	rotate.ValidArgsFunction = complete
	c.AddCommand(rotate)
	return c
}

// free says at once that the file for a secret cannot be made, before there is a secret to lose.
func free(file string) error {
	if file == "" {
		return nil
	}
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return line.Exit{Code: line.Conflict, Text: file + " exists already; secrets are written to a new file only"}
	}
	return nil
}

// keep writes the secret to a file of the owner's, or says that it is shown only now.
func keep(cmd *cobra.Command, a *client.Application, file string) error {
	switch {
	case a.ClientSecret == "":
	case file == "":
		fmt.Fprintln(cmd.ErrOrStderr(), "The secret is shown this once and stored nowhere: put it where the application reads it.")
	default:
		f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if err == nil {
			_, err = fmt.Fprintln(f, a.ClientSecret)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			return fmt.Errorf("the secret was made and could not be written, `%s` makes another: %w", line.Next(cmd, "app secret rotate "+a.ClientID), err)
		}
		a.ClientSecret = ""
		delete(a.More, "client_secret")
		fmt.Fprintln(cmd.ErrOrStderr(), "The secret is in "+file+".")
	}
	return nil
}

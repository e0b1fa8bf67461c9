package mail

import (
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/line"
)

// Command is `quis mail`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "mail",
		Short:   "With which server mail is sent, and whether that works",
		Example: "  quis mail set --host smtp.example.com --username quis --password-file smtp.password --from noreply@example.com\n  quis mail test ada@example.com",
	}
	line.Group(c)
	c.AddCommand(showCommand(), setCommand(), offCommand(), testCommand(), previewCommand(), deliveriesCommand(), retryCommand())
	return c
}

func showCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "show",
		Short:   "Show with which server mail is sent",
		Example: "  quis mail show\n  quis mail show -o json",
		Args:    line.None,
		RunE:    line.Answer((*client.Client).MailSettings, printSettings),
	})
}

func setCommand() *cobra.Command {
	var s client.MailSettings
	var passwordFile string
	c := line.Online(&cobra.Command{
		Use:   "set",
		Short: "Change what flags name of the settings; the rest stays",
		Long: "The password is read from --password-file or from $QUIS_SMTP_PASSWORD and is kept sealed. It is sent over TLS only.\n" +
			"It stays as long as server and username do. A server in an internal network must be opened to the nodes first:\n" +
			"outbound.allow in their configuration.",
		Example: "  quis mail set --host smtp.example.com --username quis --password-file smtp.password --from noreply@example.com\n" +
			"  quis mail set --port 465 --tls implicit",
		Args: line.None,
		RunE: func(cmd *cobra.Command, args []string) error {
			password, err := secret(passwordFile)
			if err != nil {
				return err
			}
			given := cmd.Flags().Changed
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.MailSettings, error) {
				now, err := c.MailSettings(ctx)
				if err != nil {
					return nil, err
				}
				now.Password = password
				for flag, take := range map[string]func(){
					"host": func() { now.Host = s.Host }, "port": func() { now.Port = s.Port }, "tls": func() { now.TLS = s.TLS },
					"username": func() { now.Username = s.Username }, "from": func() { now.From = s.From },
					"from-name": func() { now.FromName = s.FromName }, "reply-to": func() { now.ReplyTo = s.ReplyTo },
				} {
					if given(flag) {
						take()
					}
				}
				if now.Host == "" || now.From == "" {
					return nil, line.Usage(cmd, "there are no settings yet: say --host and --from")
				}
				return c.SetMailSettings(ctx, *now)
			}, printSettings)(cmd, args)
		},
	})
	c.Flags().StringVar(&s.Host, "host", "", "SMTP server: a name or an address")
	c.Flags().IntVar(&s.Port, "port", 0, "its port (default 587)")
	c.Flags().StringVar(&s.TLS, "tls", "", "mandatory (STARTTLS), implicit, opportunistic or none (default mandatory)")
	c.Flags().StringVar(&s.Username, "username", "", "to authenticate with; empty: without")
	c.Flags().StringVar(&passwordFile, "password-file", "", "file with the password (default: $QUIS_SMTP_PASSWORD)")
	c.Flags().StringVar(&s.From, "from", "", "address that mail comes from")
	c.Flags().StringVar(&s.FromName, "from-name", "", "name shown with it")
	c.Flags().StringVar(&s.ReplyTo, "reply-to", "", "address that answers go to")
	line.Complete(c, "tls", "mandatory", "implicit", "opportunistic", "none")
	return c
}

func secret(file string) (string, error) {
	if file == "" {
		return os.Getenv("QUIS_SMTP_PASSWORD"), nil
	}
	b, err := os.ReadFile(file)
	text := strings.TrimRight(string(b), "\r\n")
	if err == nil && text == "" {
		err = fmt.Errorf("%s is empty", file)
	}
	return text, err
}

func offCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "off",
		Short:   "Send no mail any more; the password is forgotten",
		Example: "  quis mail off\n  quis mail off --addr https://id.example.com",
		Args:    line.None,
		RunE: line.Answer(func(c *client.Client, ctx context.Context) (*client.MailSettings, error) {
			if err := c.DeleteMailSettings(ctx); err != nil {
				return nil, err
			}
			return c.MailSettings(ctx)
		}, printSettings),
	})
}

func testCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "test ADDRESS",
		Short:   "Send a test message now, and say what came of it",
		Example: "  quis mail test ada@example.com\n  quis mail test ada@example.com -o json",
		Args:    line.Exactly("ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (string, error) {
				return args[0], c.TestMail(ctx, args[0])
			}, func(cmd *cobra.Command, to string) error {
				return line.Emit(cmd, map[string]any{"sent": true, "to": to}, nil, func(row func(...any)) {
					row("The server took the message to " + to + ". Look whether it arrives.")
				})
			})(cmd, args)
		},
	})
}

func previewCommand() *cobra.Command {
	var locale string
	c := line.Online(&cobra.Command{
		Use:     "preview LETTER",
		Short:   "Show a letter with made-up data",
		Example: "  quis mail preview new_sign_in\n  quis mail preview sign_in_code --locale de -o json | jq -r .html > letter.html",
		Args:    line.Exactly("LETTER"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.MailPreview, error) {
				return c.PreviewMail(ctx, args[0], locale)
			}, printPreview)(cmd, args)
		},
	})
	c.Flags().StringVar(&locale, "locale", "", "language, such as de (default: the tenant's)")
	return c
}

func printPreview(cmd *cobra.Command, p *client.MailPreview) error {
	if json, err := line.AsJSON(cmd); err != nil || json {
		return line.Emit(cmd, p, nil, nil)
	}
	w := cmd.OutOrStdout()
	fmt.Fprintf(w, "Subject: %s\n\n", line.Plain(p.Subject))
	for _, l := range strings.Split(p.Text, "\n") {
		fmt.Fprintln(w, line.Plain(l))
	}
	return nil
}

func printSettings(cmd *cobra.Command, s *client.MailSettings) error {
	return line.Emit(cmd, s, nil, func(row func(...any)) {
		switch s.State {
		case "none":
			row("Mail", "is not sent: there are no settings. People get no codes, links or notices.")
			return
		case "inbox":
			row("Mail", "stays on this machine, in the inbox of quis dev: /dev/mail")
			return
		}
		row("Server", fmt.Sprintf("%s:%d", s.Host, s.Port))
		row("TLS", s.TLS)
		row("Username", s.Username)
		row("Password", line.Yes(s.HasPassword))
		row("From", strings.TrimSpace(s.FromName+" <"+s.From+">"))
		row("Reply to", s.ReplyTo)
	})
}

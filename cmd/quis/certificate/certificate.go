// Package certificate is `quis certificate`: which authorities are trusted to certify people, and
// which certificates were added to whom.
//
// What the fields mean is the server's to say; here they are read and printed.
package certificate

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/cmd/quis/kind"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/cmd/quis/user"
)

// Command is `quis certificate`.
func Command() *cobra.Command {
	c := &cobra.Command{
		Use:     "certificate",
		Short:   "Certificates and smart cards of people: who may certify them, and how they are found",
		Example: "  quis certificate create Employees certificate=@ca.pem key=smart_card rules=upn=username@example.com\n  quis certificate crl Employees people.crl",
	}
	line.Group(c)
	c.AddCommand(authorities.Commands()...)
	c.AddCommand(listCommand(), ofCommand(), addCommand(), removeCommand())
	return c
}

var authorities = kind.Kind{
	Word: "certificate", Noun: "authority", What: "the name or ID of an authority", First: "name", Key: "id",
	Columns: []string{"id", "name", "key", "rules", "revocation", "expires_at"},
	Rows:    func(c *client.Client) client.Rows { return c.CertificateAuthorities },
	Warning: "Its certificates let nobody in any more, and those that were added to people are forgotten.",
	Examples: map[string]string{
		"list":   "  quis certificate list\n  quis certificate list -o json | jq -r '.[].sha256'",
		"get":    "  quis certificate get Employees\n  quis certificate get Employees -o json | jq -r .certificate",
		"create": "  quis certificate create Employees certificate=@ca.pem key=smart_card rules=upn=username@example.com\n  quis certificate create Friends certificate=@friends.pem rules=added revocation=soft",
		"set":    "  quis certificate set Employees rules+=added crl_url=http://ca.example.com/people.crl\n  quis certificate set --fields",
		"delete": "  quis certificate delete Employees\n  quis certificate delete Employees --yes",
	},
}

// listCommand uploads what an authority has revoked.
func listCommand() *cobra.Command {
	var withdraw bool
	c := line.Online(&cobra.Command{
		Use:   "crl AUTHORITY [FILE]",
		Short: "Upload an authority's list of revoked certificates",
		Long: "The list is in DER or PEM, signed by the authority itself, and counts on all nodes at once. Upload the next one before\n" +
			"it ends: then what is not on it counts as unchecked.",
		Example: "  quis certificate crl Employees people.crl\n  quis certificate crl Employees --withdraw",
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if want := map[bool]int{true: 1, false: 2}[withdraw]; len(args) != want {
			return line.Usage(cmd, "%s wants an authority and a file, or --withdraw", cmd.CommandPath())
		}
		return nil
	}
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.RevocationList, error) {
			a, err := authorities.Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			if withdraw {
				return nil, c.DeleteRevocationList(ctx, a.Text("id"))
			}
			f, err := os.Open(args[1])
			if err != nil {
				return nil, err
			}
			defer f.Close()
			l, err := c.UploadRevocationList(ctx, a.Text("id"), f)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", args[1], err)
			}
			return l, nil
		}, func(cmd *cobra.Command, l *client.RevocationList) error {
			if l == nil {
				fmt.Fprintln(cmd.ErrOrStderr(), "The list is forgotten.")
				return nil
			}
			return line.Emit(cmd, l, nil, func(row func(...any)) {
				row("Number", l.Number)
				row("Revoked", l.Revoked)
				row("Next update", l.NextUpdate.Local().Format(time.DateTime))
			})
		})(cmd, args)
	}
	c.Flags().BoolVar(&withdraw, "withdraw", false, "forget the list that was uploaded")
	return c
}

const whom = "the username, address or ID of a user"

func ofCommand() *cobra.Command {
	return line.Online(&cobra.Command{
		Use:     "of USER",
		Short:   "List the certificates of a user: those that were added, and those that were used by a rule",
		Example: "  quis certificate of alice\n  quis certificate of alice -o json",
		Args:    line.Exactly(whom),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) ([]client.UserCertificate, error) {
				u, err := user.Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return client.Collect(ctx, client.List{}, func(ctx context.Context, l client.List) (*client.Page[client.UserCertificate], error) {
					return c.Users.Certificates(ctx, u.ID, l)
				})
			}, func(cmd *cobra.Command, all []client.UserCertificate) error {
				return line.Emit(cmd, all, []string{"ID", "SUBJECT", "BY", "EXPIRES", "LAST USED"}, func(row func(...any)) {
					for _, c := range all {
						used := ""
						if c.LastUsedAt != nil {
							used = c.LastUsedAt.Local().Format(time.DateOnly)
						}
						row(c.ID, c.Subject, c.By, c.ExpiresAt.Local().Format(time.DateOnly), used)
					}
				})
			})(cmd, args)
		},
	})
}

func addCommand() *cobra.Command {
	var by, name string
	c := line.Online(&cobra.Command{
		Use:   "add USER FILE",
		Short: "Add a certificate to a user, who can then sign in with it",
		Long: "Its authority must have the rule added. --by says what it is known by: fingerprint is this very certificate,\n" +
			"issuer_serial the number that the issuer gave it, subject its owner's name, which later ones have as well.",
		Example: "  quis certificate add alice alice.pem\n  quis certificate add alice alice.pem --by subject --name Badge",
		Args:    line.Exactly(whom, "a file with a certificate"),
	})
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return line.Answer(func(c *client.Client, ctx context.Context) (*client.UserCertificate, error) {
			text, err := os.ReadFile(args[1])
			if err != nil {
				return nil, err
			}
			u, err := user.Find(ctx, c, args[0])
			if err != nil {
				return nil, err
			}
			return c.Users.AddCertificate(ctx, u.ID, client.NewUserCertificate{Certificate: string(text), By: by, Name: name})
		}, func(cmd *cobra.Command, one *client.UserCertificate) error {
			return line.Emit(cmd, one, nil, func(row func(...any)) {
				row("ID", one.ID)
				row("Subject", one.Subject)
				row("By", one.By)
			})
		})(cmd, args)
	}
	c.Flags().StringVar(&by, "by", "fingerprint", "fingerprint, issuer_serial or subject")
	c.Flags().StringVar(&name, "name", "", "what it is called")
	line.Complete(c, "by", "fingerprint", "issuer_serial", "subject")
	return c
}

func removeCommand() *cobra.Command {
	var force bool
	c := line.Online(&cobra.Command{
		Use:     "remove USER ID",
		Short:   "Take a certificate away from a user",
		Long:    "One that was used by a rule is only forgotten: change the rules, or revoke it.",
		Example: "  quis certificate remove alice crt_01jc8q2v7m3k5t9w0x4y6z8a1b\n  quis certificate of alice",
		Args:    line.Exactly(whom, "the ID of a certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return line.Answer(func(c *client.Client, ctx context.Context) (*client.User, error) {
				u, err := user.Find(ctx, c, args[0])
				if err != nil {
					return nil, err
				}
				return u, user.LastWay(cmd, u, c.Users.RemoveCertificate(ctx, u.ID, args[1], force))
			}, func(cmd *cobra.Command, u *client.User) error {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s is taken away.\n", args[1])
				return nil
			})(cmd, args)
		},
	})
	c.Flags().BoolVar(&force, "force", false, user.ForceUsage)
	return c
}

package try

import (
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/daemon"
	"github.com/quis-idp/quis/cmd/quis/line"
)

const maxToken = 64 << 10

// Token is `quis token`.
func Token() *cobra.Command {
	c := &cobra.Command{
		Use:     "token",
		Short:   "What is in a token",
		Example: "  pbpaste | quis token inspect\n  quis token inspect token.jwt --issuer https://id.example.com",
	}
	line.Group(c)
	c.AddCommand(inspectCommand())
	return c
}

func inspectCommand() *cobra.Command {
	c := issuerFlag(&cobra.Command{
		Use:   "inspect [FILE]",
		Short: "Decode a token, verify it and say what each claim means",
		Long: "Reads the token from a file or from standard input, never from the command line, where other processes could\n" +
			"read it. The signature is verified with the keys of the issuer that you name. With --client-id and its secret the\n" +
			"issuer is also asked whether the token still counts (RFC 7662).",
		Example: "  pbpaste | quis token inspect\n  quis token inspect token.jwt --issuer https://id.example.com --client-id api --secret-file api.secret",
		RunE:    inspect,
	})
	c.Args = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 && strings.Count(args[0], ".") >= 2 && strings.HasPrefix(args[0], "ey") {
			return line.Usage(cmd, "that is a token itself, and is now in the history of your shell: name a file, or pipe it in; consider this token known to others")
		}
		return line.AtMost("file")(cmd, args)
	}
	c.Flags().String("addr", "", "")
	c.Flags().String("data-dir", "", "data directory of a quis dev whose issuer is meant")
	c.Flags().Lookup("addr").Hidden = true
	c.Flags().String("client-id", "", "application as which the issuer is asked about the token")
	c.Flags().String("secret-file", "", "file with its secret (default: $QUIS_CLIENT_SECRET)")
	return c
}

func inspect(cmd *cobra.Command, args []string) error {
	if _, err := line.AsJSON(cmd); err != nil {
		return err
	}
	file := "-"
	if len(args) == 1 {
		file = args[0]
	}
	if in, ok := cmd.InOrStdin().(*os.File); file == "-" && ok && daemon.IsTerminal(in) {
		fmt.Fprintln(cmd.ErrOrStderr(), "Paste the token, then press Enter and Ctrl-D.")
	}
	text, err := fromFile(file)
	if err != nil {
		return err
	}
	text = strings.TrimPrefix(text, "Bearer ")
	ctx, cancel := line.Asking(cmd)
	defer cancel()
	r := &report{Tokens: map[string]*token{}}
	t, opaque := open(text)
	if opaque != nil {
		r.Checks.add("decode", false, "%v: perhaps it is opaque or encrypted", opaque)
	} else {
		r.Tokens["token"] = t
	}
	issuer, err := issuerOf(cmd)
	if err != nil { // decoding needs none
		if opaque == nil {
			r.Checks.add("signature", false, "not verified: name the issuer by --issuer")
			expiry(&r.Checks, t)
		}
		return r.print(cmd)
	}
	r.Issuer = issuer
	p, err := discover(ctx, issuer)
	if err != nil {
		return err
	}
	if opaque == nil {
		p.judge(&r.Checks, t)
	}
	if id := flag(cmd, "client-id"); id != "" {
		secret, err := secretOf(cmd)
		if err != nil {
			return err
		}
		var said map[string]any
		if err := p.post(ctx, p.Introspection, &credentials{id, secret}, url.Values{"token": {text}}, &said); err != nil {
			return fmt.Errorf("introspection: %w", err)
		}
		active, _ := said["active"].(bool)
		r.Checks.add("introspection", active, "%s", map[bool]string{true: "the issuer says that it counts", false: "the issuer says that it does not count (or not for this application)"}[active])
	}
	return r.print(cmd)
}

// judge verifies a token of any of the issuer's kinds.
func (p *provider) judge(c *checks, t *token) {
	if t.known.Issuer != p.Issuer {
		c.add("iss", false, "it is of %s, not of %s: its signature was not looked at", t.known.Issuer, p.Issuer)
		return
	}
	typ := strings.ToLower(strings.TrimPrefix(t.head.Type, "application/"))
	kind := map[string]string{"jwt": "an ID token", "at+jwt": "an access token (RFC 9068)", "logout+jwt": "a logout token", "token-introspection+jwt": "an introspection answer"}[typ]
	if kind == "" {
		kind = "of a kind that is not known here"
	}
	c.add("typ", true, "%s: it is %s", t.head.Type, kind)
	p.signed(c, "token", t, typ)
	c.add("iss", true, "%s", t.known.Issuer)
	expiry(c, t)
}

func expiry(c *checks, t *token) {
	switch left := time.Until(t.known.Expires).Round(time.Second); {
	case t.known.Expires.IsZero():
		c.add("exp", false, "there is none: it never expires")
	case left < 0:
		c.add("exp", false, "expired %s ago", -left)
	default:
		c.add("exp", true, "good for %s", left)
	}
}

// read reads a file that is not larger than a token or a secret can be.
func read(file string) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in = f
	}
	b, err := io.ReadAll(io.LimitReader(in, maxToken+1))
	if err == nil && len(b) > maxToken {
		err = errors.New("that is too long for a token")
	}
	return b, err
}

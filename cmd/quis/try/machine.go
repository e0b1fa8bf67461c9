package try

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/quis/line"
)

// grant makes a command that gets tokens without a browser of its own.
func grant(c *cobra.Command, run func(ctx context.Context, cmd *cobra.Command, p *provider, who *credentials) (*tokens, error)) *cobra.Command {
	appFlags(c)
	c.Args = line.None
	c.Flags().StringSlice("scope", nil, "scopes to ask for")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if _, err := line.AsJSON(cmd); err != nil {
			return err
		}
		issuer, err := issuerOf(cmd)
		if err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), signInTime)
		defer cancel()
		_, _, who, err := actAs(ctx, cmd, flag(cmd, "app"))
		if err != nil {
			return err
		}
		p, err := discover(ctx, issuer)
		if err != nil {
			return err
		}
		r := &report{Issuer: p.Issuer, Tokens: map[string]*token{}}
		got, err := run(ctx, cmd, p, who)
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			r.Checks.add("grant", false, "%v", refused)
			return r.print(cmd)
		}
		if err != nil {
			return err
		}
		p.examine(r, got, who.id, "", false, resources(cmd))
		return r.print(cmd)
	}
	return c
}

// resourceFlag is that of a command that may ask for a token for other APIs than the node's own.
func resourceFlag(c *cobra.Command) *cobra.Command {
	c.Flags().StringArray("resource", nil, "resource server that the token is for, by its identifier; more than one may be named (RFC 8707)")
	return c
}

func resources(cmd *cobra.Command) []string {
	list, _ := cmd.Flags().GetStringArray("resource") // nil for a command without
	return list
}

// form is a token request with the scopes and resources of the command line.
func form(cmd *cobra.Command, kind string) url.Values {
	f := url.Values{"grant_type": {kind}}
	if scopes, _ := cmd.Flags().GetStringSlice("scope"); len(scopes) > 0 {
		f.Set("scope", strings.Join(scopes, " "))
	}
	for _, r := range resources(cmd) {
		f.Add("resource", r)
	}
	return f
}

func clientCredentialsCommand() *cobra.Command {
	return grant(resourceFlag(&cobra.Command{
		Use:     "client-credentials",
		Short:   "Get a token for the application itself and check it",
		Long:    "The application needs the grant type client_credentials: `quis app set APP grant_types+=client_credentials`.",
		Example: "  quis test client-credentials --app robot --secret-file robot.secret\n  quis test client-credentials --app robot --scope orders:read --resource https://orders.example.com -o json",
	}), func(ctx context.Context, cmd *cobra.Command, p *provider, who *credentials) (*tokens, error) {
		var got tokens
		return &got, p.post(ctx, p.Token, who, form(cmd, "client_credentials"), &got)
	})
}

// deviceAnswer is RFC 8628, section 3.2.
type deviceAnswer struct {
	DeviceCode string `json:"device_code"`
	UserCode   string `json:"user_code"`
	URI        string `json:"verification_uri"`
	Complete   string `json:"verification_uri_complete"`
	Expires    int    `json:"expires_in"`
	Interval   int    `json:"interval"`
}

const deviceGrant = "urn:ietf:params:oauth:grant-type:device_code"

func deviceCommand() *cobra.Command {
	return grant(resourceFlag(&cobra.Command{
		Use:     "device",
		Short:   "Sign in as a device without a browser does, and check the tokens",
		Long:    "The application needs the device grant: `quis app set APP grant_types+=device_code`.",
		Example: "  quis test device --app tv\n  quis test device --app tv --scope openid --scope profile",
	}), func(ctx context.Context, cmd *cobra.Command, p *provider, who *credentials) (*tokens, error) {
		if p.Device == "" {
			return nil, errors.New("the issuer has no device authorization endpoint")
		}
		ask := form(cmd, deviceGrant)
		ask.Del("grant_type")
		if ask.Get("scope") == "" {
			ask.Set("scope", "openid")
		}
		var d deviceAnswer
		if err := p.post(ctx, p.Device, who, ask, &d); err != nil {
			return nil, err
		}
		fmt.Fprintf(cmd.ErrOrStderr(), "Open %s on any device and type in\n\n  %s\n\n", d.URI, d.UserCode)
		if d.Complete != "" {
			fmt.Fprintf(cmd.ErrOrStderr(), "or open %s\n\n", d.Complete)
		}
		return p.poll(ctx, who, &d)
	})
}

// poll asks until the person has decided (RFC 8628, section 3.5).
func (p *provider) poll(ctx context.Context, who *credentials, d *deviceAnswer) (*tokens, error) {
	pause := time.Duration(max(d.Interval, 1)) * time.Second
	for {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, errors.New("nobody has decided in time")
		}
		var got tokens
		err := p.post(ctx, p.Token, who, url.Values{"grant_type": {deviceGrant}, "device_code": {d.DeviceCode}}, &got)
		var r *refusal
		switch {
		case err == nil:
			return &got, nil
		case !errors.As(err, &r):
			return nil, err
		case r.Code == "slow_down":
			pause += 5 * time.Second
		case r.Code != "authorization_pending":
			return nil, err
		}
	}
}

func exchangeCommand() *cobra.Command {
	var subject, actor, audience, resource string
	c := grant(&cobra.Command{
		Use:   "exchange",
		Short: "Exchange an access token for another one and check it (RFC 8693)",
		Long: "The application needs the token exchange grant, and must be allowed to exchange tokens of the one that the token is of:\n" +
			"`quis app set APP grant_types+=token-exchange token_exchange_from+=CLIENT_ID token_exchange_audiences+=AUDIENCE`.",
		Example: "  quis test exchange --app gateway --subject-token-file token.jwt --audience api\n  pbpaste | quis test exchange --app gateway --subject-token-file -",
	}, func(ctx context.Context, cmd *cobra.Command, p *provider, who *credentials) (*tokens, error) {
		if subject == "" {
			return nil, line.Usage(cmd, "name the file with the token by --subject-token-file (- is standard input)")
		}
		const access = "urn:ietf:params:oauth:token-type:access_token"
		f := form(cmd, "urn:ietf:params:oauth:grant-type:token-exchange")
		for _, t := range []struct{ file, name string }{{subject, "subject_token"}, {actor, "actor_token"}} {
			if t.file == "" {
				continue
			}
			text, err := fromFile(t.file)
			if err != nil {
				return nil, err
			}
			f.Set(t.name, text)
			f.Set(t.name+"_type", access)
		}
		for name, v := range map[string]string{"audience": audience, "resource": resource} {
			if v != "" {
				f.Set(name, v)
			}
		}
		var got tokens
		return &got, p.post(ctx, p.Token, who, f, &got)
	})
	c.Flags().StringVar(&subject, "subject-token-file", "", "file with the access token to exchange; - is standard input")
	c.Flags().StringVar(&actor, "actor-token-file", "", "file with an access token of who acts for the subject")
	c.Flags().StringVar(&audience, "audience", "", "whom the new token is for, by name")
	c.Flags().StringVar(&resource, "resource", "", "or by address")
	return c
}

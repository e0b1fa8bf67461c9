package try

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quis-idp/quis/cmd/dev"
	"github.com/quis-idp/quis/cmd/quis/line"
	"github.com/quis-idp/quis/federation/jose"
)

const (
	maxAnswer = 1 << 20
	patience  = 30 * time.Second // of one request
)

// metadata is the part of the discovery document that is used here.
type metadata struct {
	Issuer        string `json:"issuer"`
	Authorize     string `json:"authorization_endpoint"`
	Token         string `json:"token_endpoint"`
	JWKS          string `json:"jwks_uri"`
	Introspection string `json:"introspection_endpoint"`
	Device        string `json:"device_authorization_endpoint"`
}

// A provider is the issuer that is tried.
type provider struct {
	metadata
	http *http.Client
	keys *jose.Set
}

func issuerFlag(c *cobra.Command) *cobra.Command {
	c.Flags().String("issuer", "", "issuer to use (default: $QUIS_ISSUER, the URL of --addr, or that of a quis dev here)")
	return c
}

// issuerOf is the issuer that the command line means.
func issuerOf(cmd *cobra.Command) (string, error) {
	issuer, _ := cmd.Flags().GetString("issuer")
	for _, other := range []string{os.Getenv("QUIS_ISSUER"), flag(cmd, "addr"), os.Getenv("QUIS_ADDR")} {
		if issuer == "" && !strings.HasPrefix(other, "unix:") {
			issuer = other
		}
	}
	if issuer == "" {
		dir := flag(cmd, "data-dir")
		if dir == "" {
			dir = line.DevDir
		}
		if here, ok := dev.IssuerIn(dir); ok {
			issuer = here
		}
	}
	if issuer == "" {
		return "", line.Usage(cmd, "name the issuer by --issuer or $QUIS_ISSUER, as in https://id.example.com")
	}
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", line.Usage(cmd, "the issuer is a URL, as in https://id.example.com")
	}
	return strings.TrimSuffix(issuer, "/"), nil
}

func flag(cmd *cobra.Command, name string) string {
	v, _ := cmd.Flags().GetString(name)
	return v
}

// discover reads what the issuer says of itself, and its keys.
func discover(ctx context.Context, issuer string) (*provider, error) {
	p := &provider{http: &http.Client{Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
	if err := p.get(ctx, issuer+"/.well-known/openid-configuration", &p.metadata); err != nil {
		return nil, fmt.Errorf("discovery: %w", err)
	}
	if p.Issuer != issuer {
		return nil, fmt.Errorf("discovery: %s calls itself %q, which applications refuse", issuer, p.Issuer)
	}
	var raw json.RawMessage
	if err := p.get(ctx, p.JWKS, &raw); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	var err error
	if p.keys, err = jose.ParseSet(raw); err != nil {
		return nil, fmt.Errorf("keys: %w", err)
	}
	return p, nil
}

func (p *provider) get(ctx context.Context, at string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at, nil)
	if err != nil {
		return err
	}
	return p.do(req, v)
}

// post sends a form as the application and decodes the answer.
func (p *provider) post(ctx context.Context, at string, who *credentials, form url.Values, v any) error {
	if who.secret == "" {
		form.Set("client_id", who.id)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, at, strings.NewReader(form.Encode()))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if who.secret != "" {
		req.SetBasicAuth(url.QueryEscape(who.id), url.QueryEscape(who.secret))
	}
	return p.do(req, v)
}

// A refusal is an error of OAuth (RFC 6749, section 5.2).
type refusal struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
}

func (r *refusal) Error() string {
	if r.Description == "" {
		return r.Code
	}
	if r.Code == "invalid_client" { // the node does not say more to whoever it does not know
		return r.Code + ": " + r.Description + " Is this its secret, and does it authenticate by one?"
	}
	return r.Code + ": " + r.Description
}

func (p *provider) do(req *http.Request, v any) error {
	res, err := p.http.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the URL may have a code in it
		}
		return fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var r refusal
		if json.Unmarshal(body, &r) == nil && r.Code != "" {
			return &r
		}
		return fmt.Errorf("%s answers %s", req.URL.Path, res.Status)
	}
	if err := json.Unmarshal(body, v); err != nil {
		return fmt.Errorf("%s answers what is no JSON: %w", req.URL.Path, err)
	}
	return nil
}

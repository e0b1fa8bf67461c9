package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const maxAnswer = 1 << 20 // bytes of any answer of the provider

// metadata is the part of the discovery document that is used here
// (OpenID Connect Discovery 1.0 §3).
type metadata struct {
	Issuer     string `json:"issuer"`
	Authorize  string `json:"authorization_endpoint"`
	Token      string `json:"token_endpoint"`
	Userinfo   string `json:"userinfo_endpoint"`
	EndSession string `json:"end_session_endpoint"`
	JWKS       string `json:"jwks_uri"`
}

// tokens is a successful answer of the token endpoint (RFC 6749 §5.1).
type tokens struct {
	Access    string `json:"access_token"`
	IDToken   string `json:"id_token"`
	Refresh   string `json:"refresh_token"`
	Scope     string `json:"scope"`
	ExpiresIn int    `json:"expires_in"`

	got time.Time
}

// A provider is the other side, as this application knows it.
type provider struct {
	issuer string
	http   *http.Client

	mu   sync.Mutex // guards what is cached
	meta *metadata
	keys map[string]jwk
}

func (p *provider) discover(ctx context.Context) (metadata, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.meta != nil {
		return *p.meta, nil
	}
	var m metadata
	if err := p.getJSON(ctx, p.issuer+"/.well-known/openid-configuration", &m); err != nil {
		return m, err
	}
	if m.Issuer != p.issuer {
		return m, fmt.Errorf("the provider calls itself %q, not %q", m.Issuer, p.issuer)
	}
	p.meta = &m
	return m, nil
}

// key returns the provider's key kid, asking again if it is not known yet.
func (p *provider) key(ctx context.Context, kid string) (jwk, error) {
	meta, err := p.discover(ctx)
	if err != nil {
		return jwk{}, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if k, ok := p.keys[kid]; ok {
		return k, nil
	}
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := p.getJSON(ctx, meta.JWKS, &set); err != nil {
		return jwk{}, err
	}
	p.keys = make(map[string]jwk, len(set.Keys))
	for _, k := range set.Keys {
		p.keys[k.ID] = k
	}
	k, ok := p.keys[kid]
	if !ok {
		return jwk{}, fmt.Errorf("the provider publishes no key %q", kid)
	}
	return k, nil
}

func (p *provider) token(ctx context.Context, form url.Values) (*tokens, error) {
	meta, err := p.discover(ctx)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, meta.Token, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	status, body, err := p.do(req)
	if err != nil {
		return nil, err
	}
	if status != http.StatusOK {
		var e struct {
			Error       string `json:"error"`
			Description string `json:"error_description"`
		}
		if json.Unmarshal(body, &e) == nil && e.Error != "" {
			return nil, fmt.Errorf("the token endpoint answered %s: %s", e.Error, e.Description)
		}
		return nil, fmt.Errorf("the token endpoint answered %d", status)
	}
	t := tokens{got: time.Now()}
	if err := json.Unmarshal(body, &t); err != nil {
		return nil, fmt.Errorf("the token endpoint's answer is not JSON: %w", err)
	}
	return &t, nil
}

func (p *provider) userinfo(ctx context.Context, access string) (string, error) {
	meta, err := p.discover(ctx)
	if err != nil {
		return "", err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, meta.Userinfo, nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", "Bearer "+access)
	status, body, err := p.do(req)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("userinfo answered %d: the access token is no longer good; refresh or sign in", status)
	}
	return indent(body), nil
}

func (p *provider) getJSON(ctx context.Context, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	status, body, err := p.do(req)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return fmt.Errorf("%s answered %d", url, status)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%s: %w", url, err)
	}
	return nil
}

func (p *provider) do(req *http.Request) (int, []byte, error) {
	resp, err := p.http.Do(req)
	if err != nil {
		return 0, nil, fmt.Errorf("the provider does not answer: %w", err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, nil, fmt.Errorf("the provider's answer broke off: %w", err)
	}
	return resp.StatusCode, body, nil
}

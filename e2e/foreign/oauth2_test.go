package foreign

import (
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/quis-idp/quis/e2e/testbed"
)

// TestGoOIDCSignsIn: golang.org/x/oauth2 gets the tokens, coreos/go-oidc judges them.
func TestGoOIDCSignsIn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, dev.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	web := oauth2.Config{ClientID: "web", ClientSecret: secret, RedirectURL: callback, Endpoint: provider.Endpoint(),
		Scopes: []string{oidc.ScopeOpenID, "profile", "email", oidc.ScopeOfflineAccess}}
	verifier := oauth2.GenerateVerifier()
	b := testbed.NewBrowser(callback)
	back := answers(t, b, web.AuthCodeURL("the state", oidc.Nonce("the nonce"), oauth2.S256ChallengeOption(verifier))).URL.Query()
	if back.Get("state") != "the state" {
		t.Errorf("state came back as %q", back.Get("state"))
	}
	tokens, err := web.Exchange(ctx, back.Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: web.ClientID}).Verify(ctx, raw)
	if err != nil {
		t.Fatalf("ID token %q: %v", raw, err)
	}
	if err := id.VerifyAccessToken(tokens.AccessToken); err != nil || id.Nonce != "the nonce" {
		t.Errorf("nonce %q, access token: %v", id.Nonce, err)
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: "spa"}).Verify(ctx, raw); err == nil {
		t.Error("the ID token is good for another application too")
	}
	if _, err := provider.Verifier(&oidc.Config{ClientID: web.ClientID}).Verify(ctx, tokens.AccessToken); err == nil {
		t.Error("the access token passes for an ID token")
	}
	aged := *tokens
	aged.Expiry = time.Now().Add(-time.Minute)
	fresh, err := web.TokenSource(ctx, &aged).Token()
	if err != nil || fresh.AccessToken == tokens.AccessToken || fresh.RefreshToken == tokens.RefreshToken {
		t.Fatalf("refresh: %v", err)
	}
	info, err := provider.UserInfo(ctx, oauth2.StaticTokenSource(fresh))
	if err != nil || info.Subject != id.Subject || info.Email != "tester@example.com" || !info.EmailVerified {
		t.Errorf("userinfo %+v, %v", info, err)
	}
}

func TestOAuth2ClientCredentials(t *testing.T) {
	t.Parallel()
	for _, style := range []oauth2.AuthStyle{oauth2.AuthStyleInHeader, oauth2.AuthStyleInParams} {
		c := clientcredentials.Config{ClientID: "web", ClientSecret: secret, TokenURL: dev.Issuer() + "/oauth2/token", AuthStyle: style}
		if token, err := c.Token(t.Context()); err != nil || token.Type() != "Bearer" {
			t.Errorf("style %d: %+v, %v", style, token, err)
		}
		c.ClientSecret = "wrong"
		if _, err := c.Token(t.Context()); err == nil {
			t.Errorf("style %d: a wrong secret got a token", style)
		}
	}
}

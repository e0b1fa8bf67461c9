package foreign

import (
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/quis-idp/quis/e2e/testbed"
)

// TestOAuth2SignsADeviceIn: golang.org/x/oauth2 is the device, and a person without
// JavaScript lets it in.
func TestOAuth2SignsADeviceIn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	provider, err := oidc.NewProvider(ctx, dev.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	tv := oauth2.Config{ClientID: "tv", Endpoint: provider.Endpoint(), Scopes: []string{oidc.ScopeOpenID, "profile", oidc.ScopeOfflineAccess}}
	waits, err := tv.DeviceAuth(ctx)
	if err != nil {
		t.Fatal(err)
	}
	p, err := testbed.NewBrowser().Reach(ctx, waits.VerificationURIComplete, username, password)
	if err != nil || !strings.Contains(p.Body, "The device is let in") {
		t.Fatalf("%v\n%.3000s", err, p.Body)
	}
	tokens, err := tv.DeviceAccessToken(ctx, waits)
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := tokens.Extra("id_token").(string)
	if _, err := provider.Verifier(&oidc.Config{ClientID: tv.ClientID}).Verify(ctx, raw); err != nil {
		t.Errorf("ID token %q: %v", raw, err)
	}
	aged := *tokens
	aged.Expiry = time.Now().Add(-time.Minute)
	if fresh, err := tv.TokenSource(ctx, &aged).Token(); err != nil || fresh.RefreshToken == tokens.RefreshToken {
		t.Errorf("refresh: %v", err)
	}
	if _, err := tv.DeviceAccessToken(ctx, waits); err == nil {
		t.Error("the device code is good twice")
	}
}

package admin_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/quis-idp/quis/api/client"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/approval"
	"github.com/quis-idp/quis/identity/credential/device"
	"github.com/quis-idp/quis/identity/credential/passkey"
	"github.com/quis-idp/quis/identity/credential/passkey/passkeytest"
	"github.com/quis-idp/quis/identity/credential/recovery"
	"github.com/quis-idp/quis/identity/credential/totp/totptest"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/settings"
)

// equip gives a user an authenticator app, recovery codes and a trusted device, and
// returns the IDs of the first and the last.
func (h *house) equip(tenant, user, name string) (factor, trusted string) {
	h.t.Helper()
	h.update(func(tx *fsm.Tx) error {
		app, _, err := totptest.Add(tx, h.ring, tenant, user, name)
		if err != nil {
			return err
		}
		if _, err := recovery.Generate(tx, h.ring, tenant, user); err != nil {
			return err
		}
		d, _, err := device.Trust(tx, h.ring, tenant, user, "Firefox on "+name, time.Hour)
		if err != nil {
			return err
		}
		factor, trusted = app.ID, d.ID
		return nil
	})
	return factor, trusted
}

func TestFactors(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	factors := func(want int) []client.Factor {
		t.Helper()
		p, err := c.Users.Factors(t.Context(), h.plainUser, client.List{})
		h.must(err)
		if len(p.Data) != want {
			t.Fatalf("%d factors, want %d: %+v", len(p.Data), want, p.Data)
		}
		return p.Data
	}
	devices := func(want int) []client.TrustedDevice {
		t.Helper()
		p, err := c.Users.Devices(t.Context(), h.plainUser, client.List{})
		h.must(err)
		if len(p.Data) != want {
			t.Fatalf("%d devices, want %d: %+v", len(p.Data), want, p.Data)
		}
		return p.Data
	}
	factors(0)
	devices(0)
	h.equip(identity.DefaultTenant, h.plainUser, "phone")
	both := factors(2)
	if f := both[0]; f.Type != "totp" || f.Name != "phone" || f.CreatedAt.IsZero() || f.LastUsedAt != nil || f.Left != nil {
		t.Errorf("%+v", f)
	}
	if f := both[1]; f.Type != "recovery_codes" || f.Left == nil || *f.Left != recovery.Count {
		t.Errorf("%+v", f)
	}
	if d := devices(1)[0]; d.Name != "Firefox on phone" || d.ExpiresAt.Before(d.CreatedAt) {
		t.Errorf("%+v", d)
	}
	at := "/api/v1/users/" + h.plainUser
	for _, path := range []string{"/factors/otp_x", "/factors/rec_x", "/factors/x", "/factors/" + both[1].ID + "x", "/devices/x"} {
		h.want(404, h.root, "DELETE", at+path, "")
	}
	for _, path := range []string{"/factors", "/devices", "/factors/" + both[0].ID} {
		h.want(403, h.plain, "DELETE", at+path, "")
		h.want(404, h.acme, "DELETE", at+path, "")
	}
	h.want(404, h.root, "GET", "/api/v1/users/usr_x/factors", "")
	h.want(404, h.root, "DELETE", "/api/v1/users/usr_x/devices", "")

	h.must(c.Users.ResetFactor(t.Context(), h.plainUser, both[0].ID, false))
	factors(1)
	devices(0) // trust goes with a factor
	h.equip(identity.DefaultTenant, h.plainUser, "tablet")
	h.must(c.Users.RevokeDevice(t.Context(), h.plainUser, devices(1)[0].ID))
	h.equip(identity.DefaultTenant, h.plainUser, "laptop")
	h.must(c.Users.RevokeDevices(t.Context(), h.plainUser))
	devices(0)
	h.equip(identity.DefaultTenant, h.plainUser, "watch")
	h.update(func(tx *fsm.Tx) error {
		_, _, err := approval.Allow(tx, h.ring, identity.DefaultTenant, h.plainUser, "ses_1", "browser")
		return err
	})
	if b := factors(5)[4]; b.Type != "approver" || b.Name != "browser" || b.LastUsedAt != nil {
		t.Errorf("%+v", b)
	}
	h.must(c.Users.ResetFactor(t.Context(), h.plainUser, factors(5)[4].ID, false))
	factors(4)
	h.must(c.Users.ResetFactors(t.Context(), h.plainUser, false))
	factors(0)
	devices(0)
}

// passkey gives a user what an authenticator makes.
func (h *house) passkey(user string, a *passkeytest.Authenticator, name string) {
	h.t.Helper()
	site := identity.Tenant{ID: identity.DefaultTenant, Issuer: "https://id.example.com"}
	a.Origin = site.Issuer
	var options, session []byte
	h.update(func(tx *fsm.Tx) error {
		u, _, err := directory.GetUser(tx, site.ID, user)
		if err == nil {
			options, session, err = passkey.BeginRegistration(tx, site, "A house", settings.Passkey{}, u, true)
		}
		return err
	})
	response, err := a.Create(options)
	h.must(err)
	h.update(func(tx *fsm.Tx) error {
		_, err := passkey.Register(tx, site, settings.Passkey{}, user, session, response, name)
		return err
	})
}

// An administrator cannot, by one rule about models, keep out all administrators, himself among them.
func TestNoRuleAboutModelsKeepsEveryAdministratorOut(t *testing.T) {
	t.Parallel()
	const (
		at    = "/api/v1/settings/authentication"
		model = "01000000-0000-0000-0000-000000000000"
		other = "02000000-0000-0000-0000-000000000000"
		deny  = `{"passkey":{"deny_aaguids":["` + model + `"]}}`
	)
	h := newHouse(t)
	h.passkey(h.rootUser, &passkeytest.Authenticator{UV: true, AAGUID: [16]byte{1}}, "key")
	refused := func(what, rule, field string) {
		t.Helper()
		if p := h.want(400, h.root, "PATCH", at, rule); !strings.Contains(p.Detail, field+" would leave no administrator a way to sign in") {
			t.Errorf("%s: %+v", what, p)
		}
	}
	refused("the one model of the one administrator", deny, "passkey/deny_aaguids")
	refused("only others are allowed", `{"passkey":{"attestation":"direct","allow_aaguids":["`+other+`"]}}`, "passkey/allow_aaguids")
	h.want(200, h.root, "PATCH", at, `{"passkey":{"deny_aaguids":["`+other+`"]}}`)
	h.must(h.client(h.root).Users.SetPassword(t.Context(), h.rootUser, "another horse battery"))
	refused("a password, after which it is asked for all the same", deny, "passkey/deny_aaguids")
	h.update(func(tx *fsm.Tx) error {
		_, _, err := totptest.Add(tx, h.ring, identity.DefaultTenant, h.rootUser, "telephone")
		return err
	})
	h.want(200, h.root, "PATCH", at, deny)
	h.want(200, h.root, "PATCH", at, `{"passkey":{"deny_aaguids":["`+model+`","`+other+`"]}}`)
	refused("in two steps", `{"mfa_policy":"passkey"}`, "mfa_policy")
	name := "staff"
	g, err := h.client(h.root).Groups.Create(t.Context(), client.GroupFields{Name: &name})
	h.must(err)
	h.must(h.client(h.root).Groups.AddMember(t.Context(), g.ID, h.rootUser))
	if p := h.want(400, h.root, "PATCH", "/api/v1/groups/"+g.ID, `{"mfa_policy":"passkey"}`); !strings.Contains(p.Detail, "mfa_policy would leave no administrator") {
		t.Errorf("by the policy of a group: %+v", p)
	}
}

func TestPasskeysAreFactors(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	h.passkey(h.plainUser, &passkeytest.Authenticator{UV: true, Synced: true}, "My phone")
	p, err := c.Users.Factors(t.Context(), h.plainUser, client.List{})
	h.must(err)
	if len(p.Data) != 1 || p.Data[0].Type != "passkey" || p.Data[0].Name != "My phone" || p.Data[0].Passkey == nil || !p.Data[0].Passkey.Synced {
		t.Fatalf("%+v", p.Data)
	}
	if p.Data[0].Passkey.Refused != "" {
		t.Errorf("refused as %s", p.Data[0].Passkey.Refused)
	}
	h.want(200, h.root, "PATCH", "/api/v1/settings/authentication", `{"passkey":{"deny_aaguids":["`+p.Data[0].Passkey.AAGUID+`"]}}`)
	if p, err = c.Users.Factors(t.Context(), h.plainUser, client.List{}); err != nil || p.Data[0].Passkey.Refused != "denied" {
		t.Errorf("its model is denied: %+v, %v", p, err)
	}
	h.want(200, h.root, "PATCH", "/api/v1/settings/authentication", `{"passkey":{"deny_aaguids":[]}}`)
	// It is all there is to sign in with, which is not taken away by mistake.
	for what, remove := range map[string]func() error{
		"one": func() error { return c.Users.ResetFactor(t.Context(), h.plainUser, p.Data[0].ID, false) },
		"all": func() error { return c.Users.ResetFactors(t.Context(), h.plainUser, false) },
	} {
		if err := remove(); client.Status(err) != 409 || !strings.Contains(err.Error(), "Nothing would be left for plain to sign in with") {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.must(c.Users.ResetFactor(t.Context(), h.plainUser, p.Data[0].ID, true))
	if p, err = c.Users.Factors(t.Context(), h.plainUser, client.List{}); err != nil || len(p.Data) != 0 {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPasskeyMetadata(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	c := h.client(h.root)
	h.want(404, h.root, "GET", "/api/v1/passkeys/metadata", "")
	h.want(403, h.acme, "GET", "/api/v1/passkeys/metadata", "")
	for _, bad := range []string{"", "a.b.c", "<html>", strings.Repeat("x", passkey.MaxMetadata+1)} {
		if _, err := c.ImportPasskeyMetadata(t.Context(), strings.NewReader(bad)); err == nil || !strings.Contains(err.Error(), "metadata") {
			t.Errorf("%.10q: %v", bad, err)
		}
	}
	fido, err := passkeytest.NewFIDO()
	h.must(err)
	blob, err := fido.Blob(7, time.Now().AddDate(0, 0, -2), passkeytest.Model{AAGUID: "cb69481e-8ff7-4039-93ec-0a2729a154a8", Description: "A key"})
	h.must(err)
	if _, err := c.ImportPasskeyMetadata(t.Context(), bytes.NewReader(blob)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("signed by a stranger: %v", err)
	}
	m, err := passkey.ParseMetadata(blob, fido.Roots, time.Now())
	h.must(err)
	h.must(m.Import(t.Context(), h.db))
	if got, err := c.PasskeyMetadata(t.Context()); err != nil || got.Number != 7 || got.Models != 1 || !got.Due || len(got.SHA256) != 64 {
		t.Errorf("%+v, %v", got, err)
	}
}

// Browsers read one list for all tenants: one that would be a name too many for it is refused,
// and narrowing is not.
func TestRelatedOriginsOfAllTenants(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	set := func(status int, token string, origins ...string) string {
		t.Helper()
		return fmt.Sprintf("%+v", h.want(status, token, "PATCH", "/api/v1/settings/authentication", `{"passkey":{"related_origins":["`+strings.Join(origins, `","`)+`"]}}`))
	}
	set(200, h.root, "https://one.test", "https://two.test")
	set(200, h.acme, "https://three.test", "https://two.example", "https://www.one.test", "https://four.test")
	if said := set(400, h.root, "https://one.test", "https://two.test", "https://five.test"); !strings.Contains(said, "related_origins") || !strings.Contains(said, "five different names") {
		t.Error(said)
	}
	set(200, h.acme, "https://three.test")
	set(200, h.root, "https://one.test", "https://two.test", "https://five.test")
	set(400, h.acme, "https://three.test", "https://four.test")

	enable := func(status int) string {
		t.Helper()
		return fmt.Sprintf("%+v", h.want(status, h.root, "PATCH", "/api/v1/tenants/"+h.acmeTenant, `{"disabled":false}`))
	}
	h.want(200, h.root, "PATCH", "/api/v1/tenants/"+h.acmeTenant, `{"disabled":true}`)
	set(200, h.root, "https://one.test", "https://two.test", "https://five.test", "https://six.test") // its origins do not count
	if said := enable(400); !strings.Contains(said, "disabled cannot be false") || !strings.Contains(said, "Take some off the list") {
		t.Error(said)
	}
	h.want(200, h.root, "PATCH", "/api/v1/settings/authentication?tenant=acme", `{"passkey":{"related_origins":["https://six.test"]}}`)
	enable(200) // it lists none that is not listed already
	enable(200)
}

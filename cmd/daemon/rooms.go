package daemon

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api"
	"github.com/quis-idp/quis/api/admin"
	"github.com/quis-idp/quis/api/alarm"
	"github.com/quis-idp/quis/api/consent"
	"github.com/quis-idp/quis/api/limit"
	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/login/feedback"
	"github.com/quis-idp/quis/api/login/join"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/login/related"
	"github.com/quis-idp/quis/api/login/setup"
	"github.com/quis-idp/quis/api/page"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cmd/daemon/pace"
	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/logout"
	"github.com/quis-idp/quis/federation/oidc"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/federation/refusal"
	"github.com/quis-idp/quis/federation/register"
	"github.com/quis-idp/quis/federation/revocation"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/certificate/desk"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/event"
	"github.com/quis-idp/quis/identity/impersonation"
	"github.com/quis-idp/quis/identity/session"
	"github.com/quis-idp/quis/keys"
	"github.com/quis-idp/quis/keys/seal"
)

// openRooms opens what stands on store and cluster, from the ground up.
func (n *Node) openRooms(ctx context.Context) (err error) {
	if n.ring, err = seal.OpenRing(ctx, n.db, n.root); err != nil {
		return oneLine(err)
	}
	n.keys = keys.New(n.db, n.ring, n.log, keys.WithHook(tellOfKey))
	n.metrics.Registry.MustRegister(n.keys, event.Collector())
	n.openBackups()
	n.rootKeys = n.newRootKeys()
	n.passwords = credential.NewPool(credential.Config{Workers: pace.Hashers}, n.metrics.Registry)
	n.sessions = session.NewStore(session.Config{
		DB: n.db, Ring: n.ring, Fresh: n.fresh, Logger: n.log, Registerer: n.metrics.Registry,
	})
	if n.outbound, err = n.newOutbound(); err != nil {
		return err
	}
	if n.mail, err = n.newMail(); err != nil {
		return err
	}
	n.push = n.newPush()
	if n.passwordChecks, err = n.newPasswordChecks(); err != nil {
		return err
	}
	if n.cfg.TLS.CertificateURL != "" {
		n.desk = &desk.Desk{DB: n.db, Ring: n.ring, Revocation: revocation.Sources(n.outbound), Logger: n.log}
	}
	n.flows = n.newFlows()
	return nil
}

// frontDoor puts every room that speaks HTTP behind the public listener, and the
// admin API once more behind the local socket.
func (n *Node) frontDoor() (*api.API, http.Handler, error) {
	offers := impersonation.New(n.db, n.ring, n.sessions)
	administration, err := admin.New(admin.Config{
		DB: n.db, Ring: n.ring, Keys: n.keys, Passwords: n.passwords, Checks: n.passwordChecks, Sessions: n.sessions, Offers: offers, Cluster: n.cluster, Backups: n.backups, RootKeys: n.rootKeys,
		PublicURL: n.cfg.PublicURL, Version: Version, Fresh: n.fresh, Fetch: n.outbound, Mail: n.mail, Feature: n.cluster.Use,
	})
	if err != nil {
		return nil, nil, err
	}
	proxies, err := parsePrefixes(n.cfg.TrustedProxies)
	if err != nil {
		return nil, nil, err
	}
	decisions := consent.New(consent.Config{
		DB: n.db, Ring: n.ring, Sessions: n.sessions, Flows: n.flows, SessionCookie: login.SessionCookie,
	})
	account := portal.New(portal.Config{
		DB: n.db, Sessions: n.sessions, Flows: n.flows, Pool: n.passwords, Checks: n.passwordChecks, SessionCookie: login.SessionCookie, Feature: n.cluster.Use, Mails: n.mail.Sends,
	}, n.sections()...)
	roots, err := authorities(n.cfg.TLS.ClientCAFile)
	if err != nil {
		return nil, nil, fmt.Errorf("tls.client_ca_file: %w", err)
	}
	n.refusals, n.uses = refusal.New(n.db, n.log), federation.NewUses(n.db, n.log)
	provider := oidc.New(oidc.Config{
		Refused: n.refusals.Note, Used: n.uses.Touch,
		Certificates: n.cfg.TLS.ClientCertificates || n.cfg.TLS.ClientHeader != "", ClientRoots: roots,
		DB: n.db, Keys: n.keys, Ring: n.ring, Sessions: n.sessions, Flows: n.flows, Fresh: n.fresh, Fetch: n.outbound, Documents: register.NewDocuments(n.db, n.outbound),
		ErrorPage: page.Error, PostPage: login.Post, DeniedPage: login.Denied, SignedOutPage: login.SignedOut, ConsentPage: decisions.Ask, SessionCookie: login.SessionCookie, Logger: n.log, Registerer: n.metrics.Registry,
	})
	signIn := login.New(login.Config{
		DB: n.db, Sessions: n.sessions, Flows: n.flows, Offers: offers, Pool: n.passwords, Checks: n.passwordChecks, Strangers: pace.Hashers, Registerer: n.metrics.Registry,
		Memory: memory.Memory{Ring: n.ring}, Offer: n.ownPasskeys().Offer, Certificates: n.cfg.TLS.CertificateURL, Desk: n.desk,
		Called: func(r *http.Request) string { return portal.Claimed(r, r.UserAgent()) },
		Frames: func(tx *fsm.Tx, t identity.Tenant, userID, sessionID string) ([]string, error) {
			return logout.Frames(tx, t.ID, t.Issuer, userID, sessionID)
		},
	})
	typing := feedback.New(n.db, n.passwordChecks, signIn.Refused)
	joining := join.New(join.Config{DB: n.db, Ring: n.ring, SignIn: signIn, Flows: n.flows, Pool: n.passwords, Checks: n.passwordChecks, Mail: n.mail, Modern: n.heedsFactors})
	founding := setup.New(setup.Config{DB: n.db, Sessions: n.sessions, SignIn: signIn, Pool: n.passwords, Checks: n.passwordChecks})
	n.logout = logout.New(logout.Config{
		DB: n.db, Tenant: n.tenant, Token: provider.LogoutToken, Post: n.outbound.Post, Logger: n.log, Registerer: n.metrics.Registry,
	})
	perAddress := limit.New(limit.Rate{Burst: 30, Every: 10 * time.Second})
	registration := register.New(register.Config{
		DB: n.db, Ring: n.ring, Fetch: n.outbound, Fresh: n.fresh, Wait: perAddress.Take, Logger: n.log,
		Modern: func(ctx context.Context) error { return n.cluster.Use(ctx, feature.Applications) },
	})
	notMe := alarm.New(alarm.Config{
		DB: n.db, Ring: n.ring, Modern: n.heedsFactors, Mails: n.mail.Sends,
		Also: func(tx *fsm.Tx, tenant, userID string) error {
			return family.RevokeAll(tx, tenant, userID, "this wasn't me")
		},
	})
	global := []api.Room{administration, related.New(n.db, n.cfg.PublicURL)}
	if n.inbox != nil {
		global = append(global, n.inbox)
	}
	door, err := api.New(api.Config{
		PublicURL: n.cfg.PublicURL, Look: api.TenantLook(n.db), DB: n.db,
		Rooms:          []api.Room{provider, signIn, typing, joining, founding, decisions, account, registration, notMe},
		Global:         global,
		TrustedProxies: proxies, CertificateHeader: n.cfg.TLS.ClientHeader,
		Metrics: n.metrics,
		Checks:  n.checks(),
		Logger:  n.log,
	})
	return door, administration.Local(), err
}

// tenant is what tokens need to know of a tenant that no request is for.
func (n *Node) tenant(tx *fsm.Tx, id string) (identity.Tenant, error) {
	t, _, err := directory.GetTenant(tx, id)
	if err != nil {
		return identity.Tenant{}, err
	}
	out := identity.Tenant{ID: t.ID, Slug: t.Slug, Issuer: n.cfg.PublicURL}
	if t.Slug != "" {
		out.Issuer += "/t/" + t.Slug
	}
	return out, nil
}

// tellOfKey writes the event of a signing key's change into its transaction. A key
// that is revoked takes with it all that its tenant's applications hold.
func tellOfKey(tx *fsm.Tx, kind, tenant, kid string) error {
	e := event.Event{Tenant: tenant, Type: event.Type(kind), Target: event.Target{Kind: "key", ID: kid}}
	switch kind {
	case keys.KeyRevoked:
		e.Type = event.KeyGone
		e.Data = map[string]string{"reason": "emergency rotation"}
		if err := family.RevokeAll(tx, tenant, "", "emergency rotation"); err != nil {
			return err
		}
	}
	return event.Append(tx, e)
}

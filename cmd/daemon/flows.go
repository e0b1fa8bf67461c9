package daemon

import (
	"context"
	"net/url"
	"slices"

	"github.com/quis-idp/quis/api/login"
	"github.com/quis-idp/quis/api/login/memory"
	"github.com/quis-idp/quis/api/portal"
	"github.com/quis-idp/quis/api/portal/address"
	"github.com/quis-idp/quis/api/portal/approval"
	owncertificates "github.com/quis-idp/quis/api/portal/certificate"
	"github.com/quis-idp/quis/api/portal/factor"
	ownpasskeys "github.com/quis-idp/quis/api/portal/passkey"
	"github.com/quis-idp/quis/cluster/feature"
	"github.com/quis-idp/quis/cmd/daemon/pace"
	"github.com/quis-idp/quis/federation/oidc/family"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/authn"
	"github.com/quis-idp/quis/identity/credential"
	"github.com/quis-idp/quis/identity/credential/mailcode"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/letter"
)

// newFlows is signing in, with what it needs of other rooms.
func (n *Node) newFlows() *authn.Flows {
	return authn.New(authn.Config{
		DB: n.db, Ring: n.ring, Sessions: n.sessions, Strangers: 32 * pace.Hashers,
		CheckPassword: func(ctx context.Context, tenant, userID, password string) error {
			return credential.CheckPassword(ctx, n.db, n.passwords, tenant, userID, password)
		},
		FailPassword: func(ctx context.Context, tenant, userID, password string) error {
			return credential.FailPassword(ctx, n.db, n.passwords, tenant, userID, password)
		},
		Leaked: func(ctx context.Context, tenant, password string) bool {
			return credential.Leaked(ctx, n.db, n.passwordChecks, tenant, password)
		},
		NameKey: n.root.Derive("names that nobody has"),
		NewPassword: func(ctx context.Context, who credential.Person, password string) (string, error) {
			return credential.Prepare(ctx, n.db, n.passwords, n.passwordChecks, who, password)
		},
		Forget: func(tx *fsm.Tx, tenant, user string) error {
			return family.RevokeAll(tx, tenant, user, "password changed")
		},
		SendMail: n.sendCode, Tell: n.push.Tell, Warn: n.push.WarnOfPassword, Certificates: n.desk,
		Modern: func(ctx context.Context) error { return n.cluster.Use(ctx, feature.Authentication) },
		Logger: n.log, Registerer: n.metrics.Registry,
	})
}

// longestLink bounds the link in a mail that has a code, too: some programs break longer ones.
const longestLink = 2000

// sendCode hands a code over to be mailed; to nobody if there is no such user.
func (n *Node) sendCode(ctx context.Context, l authn.Letter) {
	m := notify.Message{Letter: letter.SignInCode, Locale: l.Locales, Browser: l.Browser, Proved: l.Proved, Data: letter.Data{
		Application: l.Application, Code: l.Code, Minutes: int(mailcode.Lifetime.Minutes()),
	}}
	switch {
	case l.Recover:
		m.Letter = letter.Recovery
	case l.Code == "":
		m.Letter = letter.SignInLink
	}
	if link := identity.TenantFrom(ctx).Issuer + "/login?" + (url.Values{"flow": {l.Flow}, "token": {l.Token}}).Encode(); l.Token != "" && (len(link) <= longestLink || l.Code == "") {
		m.Data.Link = link
	}
	if l.User != nil {
		m.To, m.Name = l.User.Email, l.User.Name
		if l.User.Locale != "" {
			m.Locale = l.User.Locale
		}
	}
	n.mail.Send(ctx, l.Tenant, m)
}

// sections are the ways of signing in that people set up by themselves.
func (n *Node) sections() []portal.Section {
	return slices.Concat(
		[]portal.Section{
			address.New(address.Config{DB: n.db, Mail: n.mail, Alarm: n.alarmLink, Modern: n.heedsFactors}),
			n.ownPasskeys(),
			owncertificates.New(owncertificates.Config{DB: n.db, Desk: n.desk, Certificates: n.cfg.TLS.CertificateURL, Modern: n.heedsFactors}),
		},
		factor.Sections(factor.Config{DB: n.db, Ring: n.ring, Use: n.heedsFactors}),
		[]portal.Section{approval.New(approval.Config{
			DB: n.db, Ring: n.ring, Cookie: login.ApproverCookie, Use: n.heedsFactors, PushKey: n.push.Key, Check: n.browsers.Check,
		})},
	)
}

// heedsFactors makes sure that every member of the cluster has the ways of signing in of this
// release, and what belongs to them, before one is used.
func (n *Node) heedsFactors(ctx context.Context) error {
	return n.cluster.Use(ctx, feature.Authentication)
}

// ownPasskeys is the section of passkeys, which sign-in offers to who has none.
func (n *Node) ownPasskeys() *ownpasskeys.Section {
	return ownpasskeys.New(ownpasskeys.Config{
		DB: n.db, Ring: n.ring, Memory: memory.Memory{Ring: n.ring},
		Modern: n.heedsFactors, Keys: func(ctx context.Context) error { return n.cluster.Use(ctx, feature.SecurityKeys) },
	})
}

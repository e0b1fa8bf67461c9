package mail

import (
	"errors"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/notify/post"
	"github.com/quis-idp/quis/identity/settings"
)

func (a *api) settings() []route {
	const path = "/settings/mail"
	return []route{
		{Method: "GET", Path: path, Op: "getMailSettings", Summary: "Whether and with which server the tenant sends mail.", Tagged: true, Do: handle(a.getSettings)},
		{Method: "PUT", Path: path, Op: "setMailSettings", Summary: "Set with which server the tenant sends mail. Without a password the one that is there stays, for the same server and username.", Tagged: true, Do: handle(a.putSettings)},
		{Method: "DELETE", Path: path, Op: "deleteMailSettings", Summary: "Send no mail any more; the password is forgotten.", Do: handle(a.deleteSettings)},
		{Method: "POST", Path: path + "/test", Op: "testMail", Summary: "Send a test message now, and say what came of it.", Do: handle(a.test)},
	}
}

type mailSettings struct {
	Host        string          `json:"host" required:"true" min:"1" max:"253" example:"smtp.example.com" doc:"SMTP server: a name or an address. Must be public, or opened to nodes by outbound.allow."`
	Port        int64           `json:"port" min:"1" max:"65535" default:"587" doc:"587 is usual; 465 with implicit TLS."`
	TLS         string          `json:"tls" enum:"mandatory|implicit|opportunistic|none" default:"mandatory" doc:"mandatory: STARTTLS or nothing; implicit: TLS from the first byte; the others only without a username."`
	Username    string          `json:"username" max:"320" example:"quis" doc:"Empty: no authentication."`
	Password    identity.Secret `json:"password,omitempty" max:"1024" doc:"Never returned. Left out: the one that is there stays, as long as host, port and username do."`
	HasPassword bool            `json:"has_password" doc:"Whether there is a password; what is sent does not matter."`
	From        string          `json:"from" required:"true" min:"3" max:"254" example:"noreply@example.com" doc:"Address that mail comes from; its domain is also that of Message-IDs."`
	FromName    string          `json:"from_name" max:"64" example:"Example" doc:"Name shown with it."`
	ReplyTo     string          `json:"reply_to" max:"254" doc:"Address that answers go to; empty: to nobody who reads them."`
}

// defaults fills in what goes without saying.
func (m *mailSettings) defaults() {
	if m.TLS == "" {
		m.TLS = post.TLSMandatory
	}
	if m.Port == 0 && m.TLS == post.TLSImplicit {
		m.Port = 465
	} else if m.Port == 0 {
		m.Port = 587
	}
}

func (mailSettings) SchemaName() string { return "MailSettings" }

type shownSettings struct {
	State string `json:"state" enum:"none|inbox|set" doc:"none: there are no settings and no mail is sent, so people get no codes, links or notices; inbox: it stays on a developer's machine; set: it is sent."`
	mailSettings
}

func (shownSettings) SchemaName() string { return "MailSettingsShown" }

func shown(s *notify.Settings) mailSettings {
	return mailSettings{
		Host: s.Host, Port: int64(s.Port), TLS: s.TLS, Username: s.Username, HasPassword: len(s.Sealed) > 0,
		From: s.From, FromName: s.FromName, ReplyTo: s.ReplyTo,
	}
}

func (a *api) getSettings(c *call, _ *none) (*shownSettings, error) {
	var out shownSettings
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		state, err := a.cfg.Mail.State(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		s, rev, err := current(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		out = shownSettings{State: string(state), mailSettings: shown(s)}
		c.Revision(rev)
		return nil
	})
	return &out, err
}

// current returns what holds and its revision: before there are settings, that of the
// tenant, so that the first ones can be conditional too.
func current(tx *fsm.Tx, tenant string) (*notify.Settings, uint64, error) {
	s, rev, err := notify.GetSettings(tx, tenant)
	if errors.Is(err, fsm.ErrNotFound) {
		s = &notify.Settings{}
		_, rev, err = directory.GetTenant(tx, tenant)
	}
	return s, rev, err
}

type putSettingsIn struct{ Body mailSettings }

func (a *api) putSettings(c *call, in *putSettingsIn) (*shownSettings, error) {
	want, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	b := &in.Body
	b.defaults()
	var password *identity.Secret
	if b.Password != "" {
		password = &b.Password
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		_, rev, err := current(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		if err := identity.Expect(tx, want, rev); err != nil {
			return err
		}
		if err := settings.Alone(tx, c.Tenant.ID); err != nil { // whoever reads the mail gets in
			return err
		}
		_, err = notify.PutSettings(tx, a.cfg.Ring, notify.Settings{
			Tenant: c.Tenant.ID, Host: b.Host, Port: int(b.Port), TLS: b.TLS, Username: b.Username,
			From: b.From, FromName: b.FromName, ReplyTo: b.ReplyTo,
		}, password, 0)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a.getSettings(c, &none{})
}

func (a *api) deleteSettings(c *call, _ *none) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return notify.DeleteSettings(tx, c.Tenant.ID) })
}

type testTo struct {
	To string `json:"to" required:"true" min:"3" max:"254" example:"ada@example.com" doc:"Address that the message goes to."`
}

type testIn struct{ Body testTo }

type tested struct {
	Sent bool   `json:"sent" doc:"Whether the server took the message; what it does with it is not known here."`
	To   string `json:"to" doc:"Address that it was for."`
}

func (tested) SchemaName() string { return "MailTest" }

func (a *api) test(c *call, in *testIn) (*tested, error) {
	if err := a.cfg.Mail.Test(c.Ctx, c.Tenant, in.Body.To, ""); err != nil {
		return nil, err
	}
	return &tested{Sent: true, To: in.Body.To}, nil
}

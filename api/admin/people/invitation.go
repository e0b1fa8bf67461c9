package people

import (
	"cmp"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/notify"
	"github.com/quis-idp/quis/identity/pending"
)

func (a *api) invitations() []route {
	return []route{
		{Method: "GET", Path: "/invitations", Op: "listInvitations", Summary: "List the invitations that wait, the oldest first, without their links.", Do: handle(a.listInvitations)},
		{Method: "POST", Path: "/invitations", Op: "createInvitation", Summary: "Invite a person to make themselves an account. The link is mailed to them, or is in this answer only.", Status: http.StatusCreated, Do: handle(a.createInvitation)},
		{Method: "POST", Path: "/invitations/{id}/send", Op: "sendInvitation", Summary: "Mail an invitation again, with a new link, which is good as long as the first one was; the former one stops working.", Do: handle(a.sendInvitation)},
		{Method: "DELETE", Path: "/invitations/{id}", Op: "deleteInvitation", Summary: "Take an invitation back.", Do: handle(a.deleteInvitation)},
	}
}

type invitationFields struct {
	Email      string   `json:"email" required:"true" min:"3" max:"254" doc:"Address of the person, and of the account."`
	Username   string   `json:"username" max:"128" doc:"Name to sign in with; empty: the person chooses."`
	Name       string   `json:"name" max:"200" doc:"Name as it is shown."`
	GivenName  string   `json:"given_name" max:"200" doc:"First name."`
	FamilyName string   `json:"family_name" max:"200" doc:"Last name."`
	Locale     string   `json:"locale" max:"35" doc:"Language tag (BCP 47)."`
	Admin      bool     `json:"admin" doc:"Whether the person will administer the tenant; in the default tenant, the installation."`
	Groups     []string `json:"groups" max:"50" item_max:"64" doc:"IDs of the groups that the person will be in."`
}

type newInvitation struct {
	invitationFields
	ExpiresIn int64 `json:"expires_in" min:"0" max:"2592000" doc:"Seconds that the link works; 0: seven days."`
	Mail      bool  `json:"mail" example:"true" doc:"Whether the link is mailed to the person and shown to nobody, so that whoever follows it has proved the address. Not possible while the tenant sends no mail."`
}

type invitation struct {
	ID  string `json:"id" example:"inv_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"inv_…"`
	URL string `json:"url,omitempty" doc:"The link, in the answer that made it only, and not if it is mailed. Whoever has it can make the account."`
	invitationFields
	CreatedAt time.Time  `json:"created_at" doc:"When it was made."`
	ExpiresAt time.Time  `json:"expires_at" doc:"When the link stops working."`
	MailedAt  *time.Time `json:"mailed_at,omitempty" doc:"When it was last handed over to be mailed, if it is; what became of it is among the mail deliveries."`
}

func showInvitation(i *pending.Invitation) invitation {
	out := invitation{
		ID: i.ID, CreatedAt: i.Created, ExpiresAt: i.Expires,
		invitationFields: invitationFields{i.Email, i.Username, i.Name, i.GivenName, i.FamilyName, i.Locale, i.Admin, list(i.Groups)},
	}
	if !i.Sent.IsZero() {
		out.MailedAt = &i.Sent
	}
	return out
}

func (a *api) listInvitations(c *call, in *pageIn) (*page[invitation], error) {
	var rows []pending.Invitation
	var next string
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		rows, next, err = pending.ListInvitations(tx, c.Tenant.ID, in.After, in.Count())
		return err
	})
	return dispatch.Show(rows, next, showInvitation), err
}

type createInvitationIn struct{ Body newInvitation }

func (a *api) createInvitation(c *call, in *createInvitationIn) (*invitation, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	f := &in.Body
	var out invitation
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := a.sends(tx, c, f.Mail); err != nil {
			return err
		}
		i, secret, err := a.invite(tx, c, pending.Invitation{
			Email: f.Email, Username: f.Username, Name: f.Name, GivenName: f.GivenName, FamilyName: f.FamilyName, Locale: f.Locale, Admin: f.Admin, Groups: f.Groups,
		}, f)
		if err != nil {
			return err
		}
		out = showInvitation(i)
		if secret != "" {
			out.URL = c.Tenant.Issuer + pending.InvitationPath + secret
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.Location("invitations", out.ID)
	return &out, nil
}

// invite returns the secret of the link, "" if that is mailed.
func (a *api) invite(tx *fsm.Tx, c *call, i pending.Invitation, f *newInvitation) (*pending.Invitation, string, error) {
	lifetime := time.Duration(cmp.Or(f.ExpiresIn, 7*24*3600)) * time.Second
	if !f.Mail {
		return pending.Invite(tx, c.Tenant.ID, i, lifetime)
	}
	made, err := pending.InviteByMail(tx, a.cfg.Ring, c.Tenant.ID, i, lifetime)
	return made, "", err
}

// sends refuses to mail anything where nothing is sent.
func (a *api) sends(tx *fsm.Tx, c *call, mail bool) error {
	if !mail {
		return nil
	}
	state, err := a.cfg.Mail.State(tx, c.Tenant.ID)
	if err == nil && state == notify.StateNone {
		err = identity.Invalid("mail", "is not possible: this tenant sends no mail. Set that up (quis mail set), or have the link shown instead (--link).")
	}
	return err
}

func (a *api) sendInvitation(c *call, in *byID) (*invitation, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	var out invitation
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		i, err := pending.Resend(tx, a.cfg.Ring, c.Tenant.ID, in.ID)
		if err != nil {
			return err
		}
		out = showInvitation(i)
		return a.sends(tx, c, true)
	})
	return &out, err
}

func (a *api) deleteInvitation(c *call, in *byID) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error { return pending.Uninvite(tx, c.Tenant.ID, in.ID) })
}

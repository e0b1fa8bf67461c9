package certificates

import (
	"encoding/json"
	"encoding/pem"
	"net/http"
	"strconv"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/api/problem"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/settings"
	"github.com/quis-idp/quis/identity/spare"
)

func (a *api) authorities() []route {
	const path, one = "/certificate-authorities", "/certificate-authorities/{id}"
	return []route{
		{Method: "GET", Path: path, Op: "listCertificateAuthorities", Summary: "List the authorities that the tenant trusts to certify its people, oldest first.", Do: handle(a.list)},
		{Method: "POST", Path: path, Op: "createCertificateAuthority", Summary: "Trust an authority to certify the tenant's people. Its rules say who they are.", Status: http.StatusCreated, Tagged: true, Do: handle(a.create)},
		{Method: "GET", Path: one, Op: "getCertificateAuthority", Summary: "Get an authority.", Tagged: true, Do: handle(a.get)},
		{Method: "PUT", Path: one, Op: "replaceCertificateAuthority", Summary: "Replace what can be set of an authority.", Tagged: true, Do: handle(a.change)},
		{Method: "PATCH", Path: one, Op: "updateCertificateAuthority", Summary: "Change what is mentioned of an authority.", Tagged: true, Do: handle(a.change)},
		{Method: "DELETE", Path: one, Op: "deleteCertificateAuthority", Summary: "Trust an authority no more: its certificates let nobody in, and those that were added to people are forgotten. Sessions stay. Refused if that leaves no administrator (of the first 50) a way in.", Tagged: true, Do: handle(a.remove)},
	}
}

type authorityFields struct {
	Name       string   `json:"name" required:"true" min:"1" max:"100" example:"Employees" doc:"What it is called here."`
	Key        string   `json:"key" enum:"software|hardware|smart_card" default:"software" example:"smart_card" doc:"Where the keys of its certificates are kept, for which you vouch: software reaches assurance level 2, the others 3."`
	Pinless    bool     `json:"pinless" doc:"Whether its keys can be used without a PIN or the like: then a certificate is one factor, of level 1 by itself."`
	Rules      ruleList `json:"rules" max:"10" item_max:"300" example:"upn=username@example.com added" doc:"How people are found: from=to, perhaps with @domain. From email, upn, common_name, serial_number or uid to username or, from email and upn, to email, which must be verified; with a domain only names in it count, and what stands before the @ is the username. added: certificates that were added to people. Of all rules together exactly one user must come."`
	Revocation string   `json:"revocation" enum:"required|soft|off" default:"required" doc:"What follows if it cannot be learned whether a certificate has been revoked: required lets nobody in, soft does; off does not ask, but for an uploaded list."`
	CRL        string   `json:"crl_url" max:"500" example:"http://ca.example.com/people.crl" doc:"Address of the list of what the authority itself has revoked; empty: none. Plain HTTP is usual, and opened by outbound.ports of the nodes."`
	Ask        bool     `json:"ask" default:"true" doc:"Whether the addresses of OCSP and lists in its certificates are asked."`
}

// ruleList is replaced as a whole: encoding/json would lay a list over the one before it.
type ruleList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *ruleList) UnmarshalJSON(data []byte) error {
	*l = nil
	return json.Unmarshal(data, (*[]string)(l))
}

var standard = authorityFields{Key: certificate.KeySoftware, Revocation: certificate.RevocationRequired, Ask: true, Rules: ruleList{}}

func fieldsOf(a *certificate.Authority) authorityFields {
	f := authorityFields{Name: a.Name, Key: a.Key, Pinless: a.Pinless, Rules: ruleList{}, Revocation: a.Revocation, CRL: a.CRL, Ask: a.Ask}
	for _, r := range a.Rules {
		f.Rules = append(f.Rules, r.String())
	}
	return f
}

func (f *authorityFields) onto(a *certificate.Authority) error {
	a.Name, a.Key, a.Pinless, a.Revocation, a.CRL, a.Ask, a.Rules = f.Name, f.Key, f.Pinless, f.Revocation, f.CRL, f.Ask, nil
	for i, text := range f.Rules {
		r, err := certificate.ParseRule(text)
		if err != nil {
			return identity.Invalid("rules/"+strconv.Itoa(i), err.Error())
		}
		a.Rules = append(a.Rules, r)
	}
	return nil
}

type newAuthority struct {
	Certificate string `json:"certificate" required:"true" min:"1" max:"32768" doc:"Its certificate in PEM. It need not be a root: chains end at it."`
	authorityFields
}

type authority struct {
	ID string `json:"id" doc:"aut_…" example:"aut_01jc8q2v7m3k5t9w0x4y6z8a1b"`
	authorityFields
	Certificate string       `json:"certificate" doc:"Its certificate in PEM."`
	Subject     string       `json:"subject" doc:"Name in its certificate." example:"CN=Employees,O=Example"`
	SHA256      string       `json:"sha256" doc:"SHA-256 of its certificate."`
	ExpiresAt   time.Time    `json:"expires_at" doc:"When its certificate ends."`
	CreatedAt   time.Time    `json:"created_at" doc:"When it was trusted."`
	List        *revocations `json:"revocation_list,omitempty" doc:"The list that was uploaded; absent: none."`
}

func (authority) SchemaName() string    { return "CertificateAuthority" }
func (newAuthority) SchemaName() string { return "NewCertificateAuthority" }

func show(tx *fsm.Tx, a *certificate.Authority) (*authority, error) {
	cert, err := a.Parsed()
	if err != nil {
		return nil, err
	}
	out := &authority{
		ID: a.ID, authorityFields: fieldsOf(a), Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.Certificate})),
		Subject: identity.Printable(cert.Subject.String(), 500), SHA256: a.Fingerprint(), ExpiresAt: cert.NotAfter, CreatedAt: a.Created,
	}
	list, err := certificate.UploadedOf(tx, a.Tenant, a.ID)
	if list != nil {
		shown := showList(list, tx.Now())
		out.List = &shown
	}
	return out, err
}

func (a *api) list(c *call, _ *none) (*page[authority], error) {
	var rows []*authority
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		all, err := certificate.List(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		rows = nil
		for i := range all {
			one, err := show(tx, &all[i])
			if err != nil {
				return err
			}
			rows = append(rows, one)
		}
		return nil
	})
	return dispatch.Show(rows, "", func(a **authority) authority { return **a }), err
}

func (a *api) get(c *call, in *byID) (*authority, error) { return a.read(c, in.ID) }

func (a *api) read(c *call, id string) (out *authority, err error) {
	err = a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		one, rev, err := certificate.Get(tx, c.Tenant.ID, id)
		if err != nil {
			return err
		}
		c.Revision(rev)
		out, err = show(tx, one)
		return err
	})
	return out, err
}

type createIn struct{ Body change[newAuthority] }

func (a *api) create(c *call, in *createIn) (*authority, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	b, err := in.Body.Onto(newAuthority{}, newAuthority{authorityFields: standard})
	if err != nil {
		return nil, err
	}
	cert, err := certificate.ParsePEM([]byte(b.Certificate))
	if err != nil {
		return nil, err
	}
	fresh := certificate.Authority{Tenant: c.Tenant.ID, Certificate: cert.Raw}
	if err := b.onto(&fresh); err != nil {
		return nil, err
	}
	var id string
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := settings.Alone(tx, c.Tenant.ID); err != nil {
			return err
		}
		made, err := certificate.Add(tx, fresh)
		if err == nil {
			id = made.ID
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("certificate-authorities", id)
	return a.read(c, id)
}

type changeIn struct {
	byID
	Body change[authorityFields]
}

func (a *api) change(c *call, in *changeIn) (*authority, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	err = a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if err := settings.Alone(tx, c.Tenant.ID); err != nil {
			return err
		}
		return governed(tx, c.Tenant.ID, func() error {
			_, err := certificate.Update(tx, c.Tenant.ID, in.ID, rev, func(old *certificate.Authority) error {
				f, err := in.Body.Onto(fieldsOf(old), standard)
				if err != nil {
					return err
				}
				return f.onto(old)
			})
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return a.read(c, in.ID)
}

func (a *api) remove(c *call, in *byID) (*none, error) {
	rev, err := c.IfMatch()
	if err != nil {
		return nil, err
	}
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return governed(tx, c.Tenant.ID, func() error { return certificate.Remove(tx, c.Tenant.ID, in.ID, rev) })
	})
}

// governed makes a change of an authority, unless certificates of it were all that let an administrator in.
func governed(tx *fsm.Tx, tenant string, change func() error) error {
	left, err := spare.Govern(tx, tenant, change)
	if err != nil || left {
		return err
	}
	return &identity.Error{Kind: problem.ErrState, Detail: "This would leave no administrator a way to sign in, so nothing was changed: they have certificates of this authority and nothing else that would do. Give an administrator another way first, such as a passkey."}
}

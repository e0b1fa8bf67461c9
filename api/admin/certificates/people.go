package certificates

import (
	"crypto/x509"
	"encoding/hex"
	"errors"
	"net/http"
	"time"

	"github.com/quis-idp/quis/api/admin/dispatch"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity"
	"github.com/quis-idp/quis/identity/credential/certificate"
	"github.com/quis-idp/quis/identity/directory"
	"github.com/quis-idp/quis/identity/regain"
)

func (a *api) people() []route {
	const path = "/users/{id}/certificates"
	return []route{
		{Method: "GET", Path: path, Op: "listUserCertificates", Summary: "List the certificates that were added to a user, and those that rules let them use, oldest first.", Do: handle(a.listOf)},
		{Method: "POST", Path: path, Op: "addUserCertificate", Summary: "Add a certificate to a user, who can sign in with it if its authority has the rule added.", Status: http.StatusCreated, Do: handle(a.add)},
		{Method: "DELETE", Path: path + "/{certificate}", Op: "removeUserCertificate", Summary: "Take a certificate away from a user; the trust in all devices ends with it. Refused if nothing would be left to sign in with, unless forced. One that rules make theirs is only forgotten.", Do: handle(a.removeOf)},
	}
}

type addedCertificate struct {
	Certificate string `json:"certificate" required:"true" min:"1" max:"32768" doc:"The certificate in PEM."`
	By          string `json:"by" enum:"fingerprint|issuer_serial|subject" default:"fingerprint" doc:"What it is known by: fingerprint is this very certificate, issuer_serial the number that the issuer gave it, subject its owner's name, which later ones have as well."`
	Name        string `json:"name" max:"100" example:"Badge" doc:"What it is called; may be empty."`
}

func (addedCertificate) SchemaName() string { return "NewUserCertificate" }

type userCertificate struct {
	ID         string     `json:"id" doc:"crt_…" example:"crt_01jc8q2v7m3k5t9w0x4y6z8a1b"`
	Authority  string     `json:"authority_id" doc:"Who certified it." example:"aut_01jc8q2v7m3k5t9w0x4y6z8a1b"`
	By         string     `json:"by,omitempty" enum:"fingerprint|issuer_serial|subject" doc:"What it is known by; absent: it was not added, but used by a rule."`
	Name       string     `json:"name" doc:"What it is called; may be empty."`
	Subject    string     `json:"subject" example:"CN=Alice Doe,O=Example" doc:"Name in the certificate."`
	SHA256     string     `json:"sha256" doc:"SHA-256 of the certificate that was added or used last."`
	ExpiresAt  time.Time  `json:"expires_at" doc:"When that ends."`
	CreatedAt  time.Time  `json:"created_at" doc:"When it was added, or first used."`
	LastUsedAt *time.Time `json:"last_used_at,omitempty" doc:"When it last signed the user in; absent: not yet."`
}

func (userCertificate) SchemaName() string { return "UserCertificate" }

func showOf(c *certificate.Certificate) userCertificate {
	out := userCertificate{
		ID: c.ID, Authority: c.Authority, By: c.By, Name: c.Name, Subject: c.Title, SHA256: hex.EncodeToString(c.Print), ExpiresAt: c.NotAfter, CreatedAt: c.Created,
	}
	if !c.LastUsed.IsZero() {
		out.LastUsedAt = &c.LastUsed
	}
	return out
}

func (a *api) listOf(c *call, in *byID) (*page[userCertificate], error) {
	var rows []certificate.Certificate
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		rows, err = certificate.Of(tx, c.Tenant.ID, in.ID)
		return err
	})
	return dispatch.Show(rows, "", showOf), err
}

type addIn struct {
	byID
	Body addedCertificate
}

func (a *api) add(c *call, in *addIn) (*userCertificate, error) {
	if err := a.cfg.Modern(c.Ctx); err != nil {
		return nil, err
	}
	cert, fault := certificate.ParsePEM([]byte(in.Body.Certificate))
	by := in.Body.By
	if by == "" {
		by = certificate.ByFingerprint
	}
	var out userCertificate
	err := a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil { // said before what is wrong with the body
			return err
		}
		if fault != nil {
			return fault
		}
		if err := regain.SingleFor(tx, c.Tenant.ID, in.ID); err != nil { // a certificate is a way into the account
			return err
		}
		all, err := certificate.List(tx, c.Tenant.ID)
		if err != nil {
			return err
		}
		chain, err := certificate.Verify(all, []*x509.Certificate{cert}, tx.Now())
		if err != nil {
			return useless(err)
		}
		names, err := certificate.NamesOf(cert)
		if err != nil {
			return useless(err)
		}
		names.Issued = len(chain.Certs) == 2
		made, err := certificate.Bind(tx, chain.Authority, names, in.ID, by, in.Body.Name)
		if err == nil {
			out = showOf(made)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	c.Location("users", in.ID, "certificates", out.ID)
	return &out, nil
}

// useless says why a certificate would let nobody in, whomever it was added to.
func useless(err error) error {
	why, ok := errors.AsType[*certificate.Refused](err)
	if !ok {
		return err
	}
	detail := map[certificate.Reason]string{
		certificate.Untrusted: "no authority that is trusted here has certified it directly", certificate.Expired: "is not valid now",
		certificate.Purpose: "is not for signing in: its extended key usage must name clientAuth or smart card logon",
	}[why.Reason]
	if detail == "" {
		detail = "says what no certificate of a person says"
	}
	return identity.Invalid("certificate", detail)
}

type removeIn struct {
	byID
	Force       bool   `query:"force" doc:"Also if the user then has nothing left to begin a sign-in with."`
	Certificate string `path:"certificate" max:"64" doc:"ID of the certificate." example:"crt_01jc8q2v7m3k5t9w0x4y6z8a1b"`
}

func (a *api) removeOf(c *call, in *removeIn) (*none, error) {
	return nil, a.cfg.Take(c, in.ID, in.Force, func(tx *fsm.Tx) error {
		return certificate.Delete(tx, c.Tenant.ID, in.ID, in.Certificate)
	})
}

package oauth

import (
	"time"

	"github.com/quis-idp/quis/federation"
	"github.com/quis-idp/quis/federation/consent"
	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/directory"
)

func (a *api) consents() []route {
	return []route{
		{Method: "GET", Path: "/users/{id}/consents", Op: "listUserConsents", Summary: "List what a user has allowed applications.", Do: handle(a.listConsentsOf)},
		{Method: "DELETE", Path: "/users/{id}/consents/{application}", Op: "revokeUserConsent", Summary: "Take back what a user has allowed an application. What it holds for the user ends, also if nobody was asked.", Do: handle(a.revokeConsent)},
		{Method: "GET", Path: "/applications/{id}/consents", Op: "listApplicationConsents", Summary: "List what users have allowed an application.", Do: handle(a.listConsentsTo)},
	}
}

type given struct {
	UserID        string    `json:"user_id" doc:"Who allowed it."`
	ApplicationID string    `json:"application_id" example:"app_01jc8q2v7m3k5t9w0x4y6z8a1b" doc:"What was allowed it."`
	Scopes        []string  `json:"scopes" example:"openid email" doc:"Scopes that were allowed."`
	Declined      []string  `json:"declined" doc:"Optional scopes that were left out, and are not asked about again."`
	Resources     []string  `json:"resources" example:"https://orders.example.com" doc:"Resource servers, by their identifiers."`
	DetailTypes   []string  `json:"authorization_details_types" doc:"Types of authorization details."`
	Claims        []string  `json:"claims" doc:"Claims beyond those of the scopes."`
	GivenAt       time.Time `json:"given_at" doc:"When it was first allowed."`
	UpdatedAt     time.Time `json:"updated_at" doc:"When it was last confirmed or changed."`
	ExpiresAt     time.Time `json:"expires_at" doc:"When the user is asked anew."`
}

func (given) SchemaName() string { return "Consent" }

func showConsent(c *consent.Consent) given {
	return given{
		UserID: c.UserID, ApplicationID: c.Application, Scopes: list(c.Scopes), Declined: list(c.Declined), Resources: list(c.Resources),
		DetailTypes: list(c.DetailTypes), Claims: list(c.Claims), GivenAt: c.Given, UpdatedAt: c.Updated, ExpiresAt: c.Until,
	}
}

func (a *api) listConsentsOf(c *call, in *byID) (*page[given], error) {
	var rows []consent.Consent
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) error {
		rows = nil
		if _, _, err := directory.GetUser(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		for row, err := range consent.ListOf(tx, c.Tenant.ID, in.ID) {
			if err != nil {
				return err
			}
			rows = append(rows, *row)
		}
		return nil
	})
	return show(rows, "", showConsent), err
}

type consentsIn struct {
	byID
	pageIn
}

func (a *api) listConsentsTo(c *call, in *consentsIn) (*page[given], error) {
	var rows []consent.Consent
	var next string
	err := a.cfg.DB.Read(c.Ctx, func(tx *fsm.Tx) (err error) {
		if _, _, err := federation.Get(tx, c.Tenant.ID, in.ID); err != nil {
			return err
		}
		rows, next, err = consent.ListTo(tx, c.Tenant.ID, in.ID, in.After, in.Count())
		return err
	})
	return show(rows, next, showConsent), err
}

type revokeConsentIn struct {
	byID
	Application string `path:"application" max:"64" doc:"ID of the application."`
}

func (a *api) revokeConsent(c *call, in *revokeConsentIn) (*none, error) {
	return nil, a.cfg.DB.Update(c.Ctx, func(tx *fsm.Tx) error {
		return consent.Revoke(tx, c.Tenant.ID, in.ID, in.Application, "taken back by an administrator")
	})
}

package oauth

import (
	"encoding/json"

	"github.com/quis-idp/quis/federation/claim"
	"github.com/quis-idp/quis/federation/oidc"
)

func (a *api) simulation() []route {
	return []route{{
		Method: "POST", Path: "/applications/{id}/simulate", Op: "simulateTokens", Do: handle(a.simulate),
		Summary: "Show what a user's tokens would say, and where each claim comes from. No token, session or event is made.",
	}}
}

type simulateIn struct {
	byID
	Body simulateFields
}

type simulateFields struct {
	UserID string   `json:"user_id" required:"true" min:"1" max:"64" doc:"ID of the user."`
	Scopes []string `json:"scopes" max:"100" item_max:"100" example:"openid email profile" doc:"Scopes that the application would ask for."`
}

type simulated struct {
	Type         string          `json:"type" enum:"oidc|spa" doc:"Type of the application."`
	HasAccess    bool            `json:"has_access" doc:"Whether the user could sign in to the application."`
	AccessClaims json.RawMessage `json:"access_claims" doc:"What the access token would say."`
	IDClaims     json.RawMessage `json:"id_claims" doc:"What the ID token would say; empty without the scope openid."`
	ScriptError  string          `json:"script_error,omitempty" doc:"Why no token would be issued: the claim script, or a mapping that is required, failed."`

	DeniedBecause  string             `json:"denied_because,omitempty" doc:"Why has_access is false."`
	UserinfoClaims json.RawMessage    `json:"userinfo_claims" doc:"What userinfo would answer; empty without the scope openid."`
	GrantedScopes  []string           `json:"granted_scopes" doc:"Scopes that would be granted."`
	RefusedScopes  []string           `json:"refused_scopes" doc:"Scopes that the application may not ask for: a real request with one of them fails."`
	Sources        []claimSource      `json:"sources" doc:"Where each claim comes from."`
	Mappings       []simulatedMapping `json:"mappings" doc:"What became of each claim mapping."`
}

type claimSource struct {
	Claim   string `json:"claim" doc:"The claim."`
	In      string `json:"in" enum:"access_token|id_token|userinfo" doc:"Where it is said."`
	From    string `json:"from" enum:"protocol|scope|mapping|script" doc:"What says it."`
	Scope   string `json:"scope,omitempty" doc:"The scope that reveals it, or that the mapping requires."`
	Mapping *int   `json:"mapping,omitempty" doc:"Place of the mapping in claim_mappings, from 0."`
}

type simulatedMapping struct {
	Mapping int    `json:"mapping" doc:"Place of the mapping in claim_mappings, from 0."`
	Claim   string `json:"claim" doc:"The claim that it makes."`
	Outcome string `json:"outcome" example:"claim" doc:"claim; nothing; or why there is none: a scope that is not granted, compile, limit, evaluation or value."`
}

func (a *api) simulate(c *call, in *simulateIn) (*simulated, error) {
	s, err := oidc.NewSimulator(a.cfg.DB).Simulate(c.Ctx, in.ID, in.Body.UserID, in.Body.Scopes)
	if err != nil {
		return nil, err
	}
	out := &simulated{
		Type: s.App.Type, HasAccess: s.Denied == "", DeniedBecause: s.Denied, ScriptError: s.Fault,
		AccessClaims: object(s.Access), IDClaims: object(s.ID), UserinfoClaims: object(s.Userinfo),
		GrantedScopes: list(s.Scopes), RefusedScopes: list(s.Refused),
		Sources:  show(s.Sources, "", showSource).Data,
		Mappings: show(s.Mappings, "", func(o *claim.Outcome) simulatedMapping { return simulatedMapping{o.Mapping, o.Claim, o.Says} }).Data,
	}
	return out, nil
}

func showSource(s *oidc.Source) claimSource {
	out := claimSource{Claim: s.Claim, In: s.In, From: s.From, Scope: s.Scope}
	switch {
	case s.From == "mapping" && s.Place >= 0:
		out.Mapping = &s.Place
	case s.From == "mapping":
		out.From = "script"
	}
	return out
}

// object is {} where nothing would be said.
func object(claims json.RawMessage) json.RawMessage {
	if claims == nil {
		return json.RawMessage("{}")
	}
	return claims
}

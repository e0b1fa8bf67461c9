package federation

import (
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/quis-idp/quis/fsm"
	"github.com/quis-idp/quis/identity/event"
)

// tell appends the event that something happened to an application.
func tell(tx *fsm.Tx, a *Application, what event.Type, changes ...event.Change) error {
	data := map[string]string{"client_id": a.ClientID}
	if a.Registration.Kind != RegisteredByAdmin {
		data["registered_by"] = a.Registration.Kind
	}
	return event.Append(tx, event.Event{
		Tenant: a.Tenant, Type: what, Changes: changes,
		Target: event.Target{Kind: "application", ID: a.ID, Name: a.DisplayName()},
		Data:   data,
	})
}

// fields are what an administrator may change, as the API names and a person reads them.
func (a *Application) fields() [][2]string {
	list := func(s []string) string { return strings.Join(s, " ") }
	return [][2]string{
		{"name", a.Name}, {"friendly_name", a.FriendlyName}, {"description", a.Description}, {"type", a.Type},
		{"redirect_uris", list(a.RedirectURIs)}, {"post_logout_uris", list(a.PostLogoutURIs)},
		{"allowed_scopes", list(a.AllowedScopes)}, {"grant_types", list(a.GrantTypes)},
		{"token_expiry", strconv.FormatInt(a.TokenExpiry, 10)}, {"signing_alg", a.SigningAlg},
		{"id_token_on_refresh", strconv.FormatBool(a.IDTokenOnRefresh)},
		{"access_restricted", strconv.FormatBool(a.AccessRestricted)},
		{"show_in_dashboard", strconv.FormatBool(a.ShowInDashboard)}, {"launch_url", a.LaunchURL},
		{"app_group", a.AppGroup}, {"icon_url", a.IconURL}, {"disabled", strconv.FormatBool(a.Disabled)},
		{"consent_mode", a.Consent}, {"profile", a.Profile}, {"authentication", text(a.Auth)}, {"tokens", text(a.Tokens)},
		{"requests", text(a.Requests)}, {"logout", text(a.Logout)}, {"refresh", text(a.Refresh)}, {"subject", text(a.Subject)},
		{"claim_mappings", text(a.Claims)}, {"exchange", text(a.Exchange)}, {"ciba", text(a.CIBA)}, {"trusted_issuers", text(a.Issuers)},
		{"allowed_origins", list(a.AllowedOrigins)}, {"contacts", list(a.Contacts)}, {"tags", list(a.Tags)}, {"owner", a.Owner},
		{"client_uri", a.ClientURI}, {"mfa_policy", a.MFAPolicy}, {"policy_uri", a.PolicyURI}, {"tos_uri", a.TermsURI},
	}
}

// text shows a group of settings, of which none is secret, to be compared and read.
func text(v any) string {
	if reflect.ValueOf(v).IsZero() {
		return ""
	}
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// clone copies a deep enough that a change of the copy leaves a as it was.
func (a *Application) clone() *Application {
	c := *a
	for _, list := range []*[]string{&c.RedirectURIs, &c.PostLogoutURIs, &c.AllowedScopes, &c.GrantTypes, &c.AllowedOrigins, &c.Contacts, &c.Tags} {
		*list = slices.Clone(*list)
	}
	c.Secrets = slices.Clone(c.Secrets)
	c.Claims, c.Issuers = slices.Clone(c.Claims), slices.Clone(c.Issuers)
	return &c
}
